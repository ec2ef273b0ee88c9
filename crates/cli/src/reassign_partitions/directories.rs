//! Moves between the directories of a broker: starting them, ending them, how far they are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kalda_client::Admin;
use kalda_model::{BrokerId, TopicPartition};
use kalda_protocol::ErrorCode;
use tokio::time::{Instant, sleep};

use super::file::Replica;
use super::{error, joined, s};
use crate::failure::{Failure, Outcome};
use crate::options::Parsed;
use crate::output::print_line;

/// Between two attempts to start moves of replicas that are still to come.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How long is waited for moves to begin, unless `--timeout` says otherwise.
const TIMEOUT_MS: u64 = 10_000;

/// Where a replica is, in view of where it shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Its broker does not have it.
    Missing { target: String },
    /// It is there.
    Completed,
    /// It is elsewhere, and stays.
    Idle { current: String, target: String },
    /// It is on its way, there or elsewhere.
    Active { current: String, future: String, target: String },
}

impl State {
    /// Whether nothing is left to wait for.
    pub(super) fn is_done(&self) -> bool {
        !matches!(self, Self::Active { .. })
    }
}

type States = BTreeMap<Replica, State>;

/// Where these replicas are.
pub(super) async fn states(admin: &Admin, targets: BTreeMap<Replica, String>) -> Outcome<States> {
    let brokers: BTreeSet<i32> = targets.keys().map(|replica| replica.broker).collect();
    let brokers: Vec<BrokerId> = brokers.into_iter().map(BrokerId).collect();
    if !brokers.is_empty() {
        // Makes the brokers known to the client.
        admin.nodes().await?;
    }
    let told = admin.describe_log_dirs(&brokers).await?;
    let mut states = States::new();
    for (replica, target) in targets {
        let (mut current, mut future) = (None, None);
        for dir in told.get(&BrokerId(replica.broker)).into_iter().flatten() {
            for found in dir.replicas.iter().filter(|it| it.partition == replica.partition) {
                let side = if found.is_future { &mut future } else { &mut current };
                *side = Some(dir.path.clone());
            }
        }
        let state = match (current, future) {
            (None, _) => State::Missing { target },
            (Some(current), Some(future)) => State::Active { current, future, target },
            (Some(current), None) if current == target => State::Completed,
            (Some(current), None) => State::Idle { current, target },
        };
        states.insert(replica, state);
    }
    Ok(states)
}

/// Kafka's lines on that.
pub(super) fn lines(states: &States) -> String {
    let line = |(replica, state): (&Replica, &State)| {
        let Replica { broker, partition } = replica;
        match state {
            State::Missing { .. } => format!(
                "Partition {partition} cannot be found in any live log directory on broker {broker}."
            ),
            State::Completed => {
                format!("Reassignment of replica {replica} completed successfully.")
            }
            State::Idle { current, target } => format!(
                "Partition {partition} on broker {broker} is not being moved from log dir {current} to {target}."
            ),
            State::Active { future, target, .. } if future == target => {
                format!("Reassignment of replica {replica} is still in progress.")
            }
            State::Active { future, target, .. } => format!(
                "Partition {partition} on broker {broker} is being moved to log dir {future} instead of {target}."
            ),
        }
    };
    joined(states.iter().map(line), "\n")
}

/// Starts moves. A replica that is only coming to its broker is asked for again until it is there.
pub(super) async fn start_moves(
    admin: &Admin,
    parsed: &Parsed,
    mut pending: BTreeMap<Replica, String>,
) -> Outcome {
    let timeout = parsed.number::<u64>("timeout")?.unwrap_or(TIMEOUT_MS);
    let deadline = Instant::now() + Duration::from_millis(timeout);
    while !pending.is_empty() {
        for replica in accepted(admin, &pending).await? {
            let dir = pending.remove(&replica).unwrap_or_default();
            let Replica { broker, partition } = &replica;
            print_line(&format!(
                "Successfully started moving log directory to {dir} for replica {partition} with broker {broker} "
            ))?;
        }
        if pending.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            return Err(Failure::Message(format!(
                "Timed out before log directory move{} could be started for: {}",
                s(pending.len()),
                joined(pending.keys(), ",")
            )));
        }
        sleep(RETRY_EVERY).await;
    }
    Ok(())
}

/// Those of the moves that their brokers took on.
async fn accepted(admin: &Admin, pending: &BTreeMap<Replica, String>) -> Outcome<Vec<Replica>> {
    let mut by_broker: BTreeMap<i32, BTreeMap<TopicPartition, String>> = BTreeMap::new();
    for (replica, dir) in pending {
        let moves = by_broker.entry(replica.broker).or_default();
        moves.insert(replica.partition.clone(), dir.clone());
    }
    let mut accepted = Vec::new();
    for (broker, moves) in by_broker {
        let outcomes = admin.alter_replica_log_dirs(BrokerId(broker), &moves).await?;
        for (partition, outcome) in outcomes {
            let replica = Replica { broker, partition };
            match outcome {
                Ok(()) => accepted.push(replica),
                Err(why) if why.code() == Some(ErrorCode::ReplicaNotAvailable) => {}
                Err(why) => {
                    return Err(error(format!("Failed to alter dir for {replica}: {why}")));
                }
            }
        }
    }
    Ok(accepted)
}

/// Ends moves: replicas that are on their way stay where they are.
pub(super) async fn stop_moves(
    admin: &Admin,
    parsed: &Parsed,
    targets: BTreeMap<Replica, String>,
) -> Outcome {
    let states = states(admin, targets).await?;
    let back = states.into_iter().filter_map(|(replica, state)| match state {
        State::Active { current, .. } => Some((replica, current)),
        _ => None,
    });
    let back: BTreeMap<Replica, String> = back.collect();
    if back.is_empty() {
        return Ok(print_line("None of the specified partition moves are active.")?);
    }
    start_moves(admin, parsed, back).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kafkas() {
        let replica = |index| Replica { broker: 2, partition: TopicPartition::new("foo", index) };
        let (a, b, c) = ("/a".to_owned(), "/b".to_owned(), "/c".to_owned());
        let active = |future: &String| State::Active {
            current: a.clone(),
            future: future.clone(),
            target: b.clone(),
        };
        let states = States::from([
            (replica(0), State::Completed),
            (replica(1), active(&b)),
            (replica(2), active(&c)),
            (replica(3), State::Idle { current: a.clone(), target: b.clone() }),
            (replica(4), State::Missing { target: b.clone() }),
        ]);
        assert_eq!(
            lines(&states),
            "Reassignment of replica foo-0-2 completed successfully.
Reassignment of replica foo-1-2 is still in progress.
Partition foo-2 on broker 2 is being moved to log dir /c instead of /b.
Partition foo-3 on broker 2 is not being moved from log dir /a to /b.
Partition foo-4 cannot be found in any live log directory on broker 2."
        );
        assert!(states.values().filter(|state| !state.is_done()).count() == 2);
    }
}
