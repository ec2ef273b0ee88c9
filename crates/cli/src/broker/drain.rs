//! The work of `broker drain` and `broker decommission`: moves, progress, end.

use std::collections::BTreeMap;
use std::time::Duration;

use kalda_client::Admin;
use kalda_client::admin::{BrokerEndpoint, ElectionType, FactorChange};
use kalda_model::{BrokerId, TopicPartition};
use kalda_protocol::ErrorCode;
use tokio::time::sleep;

use super::plan::{Orders, Placed, Target, placed, without_leaders, without_replicas};
use crate::failure::{Failure, Outcome};
use crate::output::print_line;

/// How often the cluster is asked how far it is: it does not tell by itself.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After so many looks without a change it is said that we still wait.
const TELL_EVERY: u32 = 40;

/// A broker to be emptied.
pub(super) struct Work {
    pub(super) admin: Admin,
    pub(super) broker: BrokerId,
    pub(super) batch: usize,
    pub(super) is_dry: bool,
}

impl Work {
    /// Moves every leader away.
    pub(super) async fn drain(&self) -> Outcome {
        let id = self.broker;
        self.registered().await?;
        self.move_leaders().await?;
        match self.is_dry {
            true => Ok(()),
            false => Ok(print_line(&format!(
                "Broker {id} leads nothing. It keeps its replicas and stands last among those who may lead."
            ))?),
        }
    }

    /// Moves every replica away, and ends the registration.
    pub(super) async fn decommission(&self) -> Outcome {
        let id = self.broker;
        let brokers = self.registered().await?;
        let targets: Vec<Target> = brokers
            .iter()
            .filter(|it| it.node.id != id && !it.is_fenced)
            .map(|it| Target { id: it.node.id.0, rack: it.node.rack.clone() })
            .collect();
        // Whether there is room is found out before anything is moved.
        let all = self.look().await?;
        let orders = self.away(&all, &targets)?;
        self.tell_if_voter().await?;
        if self.is_dry {
            for (partition, replicas) in &orders {
                print_line(&format!("{partition}: would move to {replicas:?}"))?;
            }
            return Ok(print_line(&format!(
                "{} replicas would leave broker {id}, and its registration would end.",
                orders.len()
            ))?);
        }
        self.move_replicas(&targets).await?;
        self.admin.unregister_broker(id).await?;
        Ok(print_line(&format!(
            "Broker {id} has nothing left and is no longer registered; its process can be stopped."
        ))?)
    }

    async fn registered(&self) -> Outcome<Vec<BrokerEndpoint>> {
        let brokers = self.admin.endpoints(true).await?.nodes;
        if brokers.iter().any(|it| it.node.id == self.broker) {
            return Ok(brokers);
        }
        let ids: Vec<String> = brokers.iter().map(|it| it.node.id.to_string()).collect();
        Err(Failure::Message(format!(
            "Broker {} is not registered; there are {}",
            self.broker,
            ids.join(", ")
        )))
    }

    /// A node that votes is taken out of the quorum only by whoever knows what takes its place.
    async fn tell_if_voter(&self) -> Outcome {
        let quorum = self.admin.describe_quorum().await?;
        let id = self.broker;
        let Some(voter) = quorum.voters.iter().find(|voter| voter.id == id) else { return Ok(()) };
        Ok(print_line(&format!(
            "Note: node {id} is a controller too and stays one. `kalda metadata-quorum remove-controller -i {id} -d {}` takes it out of a quorum that can change.",
            voter.directory
        ))?)
    }

    async fn look(&self) -> Outcome<Vec<Placed>> {
        Ok(placed(&self.admin.describe_all_topics().await?))
    }

    fn away(&self, all: &[Placed], targets: &[Target]) -> Outcome<Orders> {
        without_replicas(all, self.broker, targets).map_err(|needed| {
            Failure::Message(format!(
                "Broker {} cannot go: there are partitions with {needed} replicas, and only {} other brokers are up; add a broker or give topics fewer replicas",
                self.broker,
                targets.len()
            ))
        })
    }

    async fn move_leaders(&self) -> Outcome {
        let id = self.broker;
        let mut before = None;
        let mut looks: u32 = 0;
        loop {
            let all = self.look().await?;
            let (orders, stuck) = without_leaders(&all, id);
            if self.is_dry {
                let (count, left) = (orders.len(), stuck.len());
                return Ok(print_line(&format!(
                    "{count} partitions would get another leader; {left} have no other replica in sync."
                ))?);
            }
            if orders.is_empty() {
                return self.report_stuck(&stuck);
            }
            if before != Some(orders.len()) {
                print_line(&format!("Broker {id}: {} partitions left to hand over", orders.len()))?;
                looks = 0;
            }
            before = Some(orders.len());
            looks += 1;
            if looks.is_multiple_of(TELL_EVERY) {
                print_line(&format!("Broker {id}: waiting for {} partitions", orders.len()))?;
            }
            let moves: Orders = orders.into_iter().take(self.batch).collect();
            let partitions: Vec<TopicPartition> = moves.keys().cloned().collect();
            self.reassign(moves).await?;
            self.elect(&partitions).await?;
            sleep(LOOK_EVERY).await;
        }
    }

    fn report_stuck(&self, stuck: &[TopicPartition]) -> Outcome {
        match stuck {
            [] => Ok(()),
            [first, ..] => Err(Failure::Message(format!(
                "Broker {} still leads {} partitions that no other replica in sync could lead, such as {first}; give them more replicas, or wait until those are in sync and call this again",
                self.broker,
                stuck.len()
            ))),
        }
    }

    /// Starts moves. What is refused because it is being moved already, or is gone, is looked at again.
    async fn reassign(&self, moves: Orders) -> Outcome {
        let targets: BTreeMap<TopicPartition, Option<Vec<i32>>> =
            moves.into_iter().map(|(partition, replicas)| (partition, Some(replicas))).collect();
        let outcomes = self.admin.alter_reassignments(&targets, FactorChange::Allowed).await?;
        for (partition, outcome) in outcomes {
            match outcome {
                Ok(()) => {}
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {}
                Err(error) => return Err(Failure::Message(format!("{partition}: {error}"))),
            }
        }
        Ok(())
    }

    async fn elect(&self, partitions: &[TopicPartition]) -> Outcome {
        let elected = self.admin.elect_leaders(ElectionType::Preferred, Some(partitions)).await?;
        for (partition, outcome) in elected {
            let Err(error) = outcome else { continue };
            match error.code() {
                Some(
                    ErrorCode::ElectionNotNeeded
                    | ErrorCode::PreferredLeaderNotAvailable
                    | ErrorCode::UnknownTopicOrPartition,
                ) => {}
                _ => return Err(Failure::Message(format!("{partition}: {error}"))),
            }
        }
        Ok(())
    }

    async fn move_replicas(&self, targets: &[Target]) -> Outcome {
        let id = self.broker;
        let mut before = None;
        let mut looks: u32 = 0;
        loop {
            let all = self.look().await?;
            let left = all.iter().filter(|it| it.replicas.contains(&id.0)).count();
            if left == 0 {
                return Ok(());
            }
            if before != Some(left) {
                print_line(&format!("Broker {id}: {left} replicas left to move"))?;
                looks = 0;
            }
            before = Some(left);
            looks += 1;
            if looks.is_multiple_of(TELL_EVERY) {
                print_line(&format!("Broker {id}: waiting for {left} replicas"))?;
            }
            let moving = self.admin.reassignments().await?;
            let leaving = moving.values().filter(|moving| moving.removing.contains(&id.0)).count();
            let at_rest: Vec<Placed> =
                all.into_iter().filter(|it| !moving.contains_key(&it.partition)).collect();
            let orders = self.away(&at_rest, targets)?;
            let room = self.batch.saturating_sub(leaving);
            let moves: Orders = orders.into_iter().take(room).collect();
            if !moves.is_empty() {
                self.reassign(moves).await?;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
