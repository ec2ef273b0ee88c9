//! Committed offsets: many commits of many groups, and a partition that is full of them.

use std::time::Instant;

use kalda_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kalda_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use super::{find, until};
use crate::Outcome;
use crate::broker::Broker;
use crate::load::topics::create_topic;
use crate::wire::{Connection, frame};

const COMMIT: i16 = 8;
const FETCH: i16 = 8;
const CONNECTIONS: usize = 16;
/// Partitions of one commit of [`fill`], and so its records.
const AT_ONCE: i32 = 1_000;
const FULL_TOPIC: &str = "full";
const FULL_GROUP: &str = "full";

/// Commits one offset at a time on each of several connections. Answers commits a second and the
/// broker's seconds of CPU for a million.
pub(super) fn run(broker: &Broker, round: usize, count: usize) -> Outcome<Vec<f64>> {
    let topic = format!("commits-{round}");
    let mut connection = Connection::open(broker.address)?;
    create_topic(&mut connection, &topic, 1, &[])?;
    let mut ready = Vec::new();
    for index in 0..CONNECTIONS {
        let group = format!("commits-{round}-{index}");
        let mut connection = Connection::open(broker.address)?;
        find(&mut connection, 0, &group)?;
        let request = request(&group, &topic, 1, 7);
        until(|| Ok(is_committed(&mut connection, &request)))?;
        ready.push((connection, frame(&request, COMMIT)?));
    }
    let cpu_before = broker.cpu_seconds()?;
    let begun = Instant::now();
    let each = count / CONNECTIONS;
    let threads = ready.into_iter().map(|(mut connection, frame)| {
        std::thread::spawn(move || -> Result<(), String> {
            for _ in 0..each {
                connection.send(&frame).map_err(|error| error.to_string())?;
                let answer = connection.receive::<OffsetCommitRequest>(COMMIT);
                let answer = answer.map_err(|error| error.to_string())?;
                if answer.topics[0].partitions[0].error_code != 0 {
                    return Err(format!("a commit was refused: {answer:?}"));
                }
            }
            Ok(())
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().map_err(|_| "a committing thread panicked")??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds = broker.cpu_seconds()? - cpu_before;
    let done = (each * CONNECTIONS) as f64;
    Ok(vec![done / seconds, cpu_seconds / done * 1e6])
}

/// Fills the partition of one group with so many records.
pub(super) fn fill(broker: &Broker, records: usize) -> Outcome<()> {
    let mut connection = Connection::open(broker.address)?;
    create_topic(&mut connection, FULL_TOPIC, AT_ONCE, &[])?;
    find(&mut connection, 0, FULL_GROUP)?;
    for offset in 0..records / AT_ONCE as usize {
        let request = request(FULL_GROUP, FULL_TOPIC, AT_ONCE, offset as i64);
        until(|| Ok(is_committed(&mut connection, &request)))?;
    }
    Ok(())
}

/// Waits until the group's offsets are fetched.
pub(super) fn await_fetched(broker: &Broker) -> Outcome<()> {
    let mut connection = Connection::open(broker.address)?;
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: FULL_GROUP.to_owned(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: FULL_TOPIC.to_owned(),
                partition_indexes: vec![0],
                ..OffsetFetchRequestTopics::default()
            }]),
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    };
    until(|| {
        let answer = connection.call(&request, FETCH)?;
        let group = &answer.groups[0];
        let found = group.topics.iter().flat_map(|topic| &topic.partitions);
        Ok(group.error_code == 0 && found.clone().all(|one| one.committed_offset >= 0))
    })
}

fn is_committed(connection: &mut Connection, request: &OffsetCommitRequest) -> bool {
    connection.call(request, COMMIT).is_ok_and(|answer| {
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.clone().all(|partition| partition.error_code == 0)
    })
}

fn request(group: &str, topic: &str, partitions: i32, offset: i64) -> OffsetCommitRequest {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: offset,
        committed_metadata: Some(String::new()),
        ..OffsetCommitRequestPartition::default()
    };
    OffsetCommitRequest {
        group_id: group.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.to_owned(),
            partitions: (0..partitions).map(partition).collect(),
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}
