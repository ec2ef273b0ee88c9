//! Whether this broker still leads a coordinator's partition. One that is cut off does not hear of its
//! successor, and what it has in memory may be older than what that one has committed. The successor
//! is one of the ISR; so before it tells what it remembers, each of them is asked whether it knows of a
//! later epoch (as a leader of Raft does before it reads, §6.4 of its paper). What is written needs no
//! question, for it is committed by the same replicas.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kalda_coordinator::GroupShard;
use kalda_model::{BrokerId, LeaderEpoch};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use tokio::time::Instant;

use super::{Gathered, Gathering, Hosted, Shards, remote};
use crate::broker::Broker;

/// The pause before a replica that did not answer is asked again, unless there is newer metadata.
const RETRY: Duration = Duration::from_millis(100);
/// `ReplicaId` of whoever is no replica that fetches.
const NO_REPLICA: i32 = -1;

/// What groups ask other brokers.
#[derive(Debug, Default)]
pub(crate) struct Questions(Gathering<Reign>);

/// A question to a member of the ISR.
#[derive(Debug)]
pub(crate) struct Reign {
    pub(super) index: i32,
    pub(super) epoch: LeaderEpoch,
}

impl Gathered for Reign {
    /// What it says of the epoch.
    type Answer = ErrorCode;

    fn gathering(broker: &Broker) -> &Gathering<Self> {
        &broker.groups.outbox.0
    }

    fn excludes(&self, earlier: &Self) -> bool {
        self.index == earlier.index && self.epoch != earlier.epoch
    }

    async fn ask(
        broker: &Arc<Broker>,
        to: BrokerId,
        gathered: &[Self],
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let asked: BTreeSet<_> =
            gathered.iter().map(|asked| (asked.index, asked.epoch.0)).collect();
        let partitions = asked.iter().map(|(partition, epoch)| OffsetForLeaderPartition {
            partition: *partition,
            current_leader_epoch: *epoch,
            leader_epoch: *epoch,
        });
        let topic = OffsetForLeaderTopic {
            topic: GroupShard::TOPIC.name.to_owned(),
            partitions: partitions.collect(),
        };
        let request = OffsetForLeaderEpochRequest { replica_id: NO_REPLICA, topics: vec![topic] };
        let answer = remote::ask(broker, to, &request).await?;
        let said: Vec<_> = answer.topics.iter().flat_map(|topic| &topic.partitions).collect();
        let of = |asked: &Self| {
            let said = said.iter().find(|said| said.partition == asked.index);
            let code = said.and_then(|said| ErrorCode::from_code(said.error_code));
            code.unwrap_or(ErrorCode::UnknownServerError)
        };
        Ok(gathered.iter().map(of).collect())
    }
}

impl Shards<GroupShard> {
    /// Returns once no member of the ISR knew of a later leader of the partition of `key`.
    ///
    /// # Errors
    /// `NOT_COORDINATOR`: one does, or some did not say in time.
    pub(crate) async fn confirm_reign(
        &self,
        broker: &Arc<Broker>,
        key: &str,
    ) -> Result<(), ErrorCode> {
        let deadline = Instant::now() + GroupShard::commit_wait(&broker.config);
        let mut confirmed = BTreeSet::new();
        loop {
            let partition = self.partition_for(broker, key)?;
            let (epoch, others) =
                partition.with_log(|_, state| (state.leader_epoch(), state.others_in_isr()))?;
            let index = partition.index;
            let asked: Vec<_> = others
                .into_iter()
                .filter(|id| !confirmed.contains(&(epoch, *id)))
                .map(|id| (id, Gathering::send(broker, id, Reign { index, epoch })))
                .collect();
            let mut are_all_known = true;
            for (id, answering) in asked {
                match tokio::time::timeout_at(deadline, answering.answer()).await {
                    Ok(Ok(ErrorCode::FencedLeaderEpoch)) => return Err(ErrorCode::NotCoordinator),
                    // It follows, or has not even heard of this reign.
                    Ok(Ok(_)) => {
                        confirmed.insert((epoch, id));
                    }
                    Ok(Err(_)) | Err(_) => are_all_known = false,
                }
            }
            if are_all_known {
                return Ok(());
            }
            let look_again = (Instant::now() + RETRY).min(deadline);
            // Who is gone is soon no member of the ISR any more.
            let _either = tokio::time::timeout_at(look_again, self.metadata_changed()).await;
            if Instant::now() >= deadline {
                return Err(ErrorCode::NotCoordinator);
            }
        }
    }
}
