//! Topics of a cluster: created with a chosen leader, looked at, awaited; and who the active controller is.

use std::time::{Duration, Instant};

use kalda_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kalda_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, RequestPartitionData, RequestTopicData,
};
use kalda_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kalda_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponseTopic,
};

use super::nodes::{Cluster, NODES};
use crate::Outcome;
use crate::load::topics::LIST_OFFSETS;
use crate::wire::Connection;

const CREATE_TOPICS: i16 = 5;
const METADATA: i16 = 9;
const DESCRIBE_QUORUM: i16 = 2;
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at a cluster.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longer where ten thousand partitions are looked at.
const LOOK_AT_MANY_EVERY: Duration = Duration::from_millis(50);

/// A topic whose partitions have these leaders, in turn, and three replicas each, the other two in either order.
pub(super) fn led_by(name: &str, leaders: &[i32], configs: &[(&str, &str)]) -> CreatableTopic {
    let assignment = |(index, leader): (usize, &i32)| {
        let mut broker_ids: Vec<i32> = NODES.into_iter().filter(|id| id != leader).collect();
        if index % 2 == 1 {
            broker_ids.reverse();
        }
        broker_ids.insert(0, *leader);
        CreatableReplicaAssignment { partition_index: index as i32, broker_ids }
    };
    CreatableTopic {
        assignments: leaders.iter().enumerate().map(assignment).collect(),
        configs: configs.iter().map(config).collect(),
        ..sized(name, -1, -1)
    }
}

/// A topic that the cluster places as it likes.
pub(super) fn sized(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    let name = name.to_owned();
    CreatableTopic { name, num_partitions, replication_factor, ..CreatableTopic::default() }
}

fn config((name, value): &(&str, &str)) -> CreatableTopicConfig {
    CreatableTopicConfig { name: (*name).to_owned(), value: Some((*value).to_owned()) }
}

/// Creates it; does not wait until it is served.
pub(super) fn create(
    connection: &mut Connection,
    topic: CreatableTopic,
    timeout: Duration,
) -> Outcome<()> {
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: i32::try_from(timeout.as_millis())?,
        ..CreateTopicsRequest::default()
    };
    let answer = connection.call(&request, CREATE_TOPICS)?;
    match answer.topics.iter().find(|topic| topic.error_code != 0) {
        Some(topic) => {
            Err(format!("{}: {} {:?}", topic.name, topic.error_code, topic.error_message).into())
        }
        None => Ok(()),
    }
}

/// Creates it and waits until it is in sync and served.
pub(super) fn create_served(cluster: &Cluster, topic: CreatableTopic) -> Outcome<()> {
    let (name, partitions) = (topic.name.clone(), topic.assignments.len());
    create(&mut cluster.dial(NODES[0])?, topic, PATIENCE)?;
    await_in_sync(cluster, NODES[0], &[&name], partitions, NODES.len())?;
    await_served(cluster, &[&name], partitions)
}

/// What a node knows of these topics.
pub(super) fn look(
    connection: &mut Connection,
    names: &[&str],
) -> Outcome<Vec<MetadataResponseTopic>> {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some((*name).to_owned()),
        ..MetadataRequestTopic::default()
    };
    let request = MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    Ok(connection.call(&request, METADATA)?.topics)
}

/// Waits until a node knows of so many partitions of these topics that have a leader and exactly so many
/// replicas in sync.
pub(super) fn await_in_sync(
    cluster: &Cluster,
    at: i32,
    names: &[&str],
    partitions: usize,
    in_sync: usize,
) -> Outcome<()> {
    let begun = Instant::now();
    let mut connection = cluster.dial(at)?;
    loop {
        let topics = look(&mut connection, names)?;
        let all = topics.iter().flat_map(|topic| &topic.partitions);
        let good = all.filter(|one| one.leader_id >= 0 && one.isr_nodes.len() == in_sync).count();
        if good == partitions {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{good} of {partitions} have {in_sync} in sync at {at}").into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until every node knows a leader of each of the partitions, and that leader answers for it.
pub(super) fn await_served(cluster: &Cluster, names: &[&str], partitions: usize) -> Outcome<()> {
    let begun = Instant::now();
    let pause = if partitions > 1_000 { LOOK_AT_MANY_EVERY } else { LOOK_EVERY };
    for id in NODES {
        let mut connection = cluster.dial(id)?;
        loop {
            let topics = look(&mut connection, names)?;
            let all = topics.iter().flat_map(|topic| &topic.partitions);
            let led = all.filter(|one| one.error_code == 0 && one.leader_id >= 0).count();
            if led == partitions && answers_for_its_own(&mut connection, id, &topics)? {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{led} of {partitions} partitions are led, says {id}").into());
            }
            std::thread::sleep(pause);
        }
    }
    Ok(())
}

/// Whether a node serves each partition that it leads.
fn answers_for_its_own(
    connection: &mut Connection,
    id: i32,
    topics: &[MetadataResponseTopic],
) -> Outcome<bool> {
    let of = |topic: &MetadataResponseTopic| ListOffsetsTopic {
        name: topic.name.clone().unwrap_or_default(),
        partitions: (topic.partitions.iter().filter(|one| one.leader_id == id))
            .map(|one| ListOffsetsPartition {
                partition_index: one.partition_index,
                timestamp: -1,
                ..ListOffsetsPartition::default()
            })
            .collect(),
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: topics.iter().map(of).collect(),
        ..ListOffsetsRequest::default()
    };
    let answer = connection.call(&request, LIST_OFFSETS)?;
    let mut answered = answer.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(answered.all(|partition| partition.error_code == 0))
}

/// The node that leads the quorum, as this one knows it.
pub(super) fn active_controller(cluster: &Cluster, ask: i32) -> Outcome<i32> {
    let request = DescribeQuorumRequest {
        topics: vec![RequestTopicData {
            topic_name: "__cluster_metadata".to_owned(),
            partitions: vec![RequestPartitionData { partition_index: 0 }],
        }],
    };
    let answer = cluster.dial(ask)?.call(&request, DESCRIBE_QUORUM)?;
    let partition = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    match partition {
        Some(partition) if partition.error_code == 0 => Ok(partition.leader_id),
        _ => Err(format!("the quorum is not described: {answer:?}").into()),
    }
}
