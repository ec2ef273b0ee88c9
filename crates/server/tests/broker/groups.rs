//! The partitions of `__consumer_offsets` as coordinators: what damage to one of them costs.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kalda_coordinator::partition_for;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use kalda_protocol::messages::find_coordinator::FindCoordinatorRequest;
use kalda_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use kalda_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kalda_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kalda_records::{BatchBuilder, BatchOptions};

use crate::client::{Client, NOON};
use crate::rig::Rig;

/// One group for each of two partitions.
const HURT: &str = "b";
const WELL: &str = "a";

/// Where a batch says at which offset it begins, and in which epoch of the leader it was written.
const BASE_OFFSET: std::ops::Range<usize> = 0..8;
const LEADER_EPOCH: std::ops::Range<usize> = 12..16;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn commit(client: &mut Client, group: &str, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition {
        committed_offset: offset,
        ..OffsetCommitRequestPartition::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    client.call(9, &request).topics[0].partitions[0].error_code
}

/// The error of the group, or what is committed.
fn committed(client: &mut Client, group: &str) -> Result<i64, ErrorCode> {
    let topic = OffsetFetchRequestTopics {
        name: "t".to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: Some(vec![topic]),
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    };
    let answer = client.call(9, &request).groups.remove(0);
    match ErrorCode::from_code(answer.error_code) {
        Some(ErrorCode::None) => Ok(answer.topics[0].partitions[0].committed_offset),
        error => Err(error.unwrap()),
    }
}

/// Appends a batch that is in order, with a record that no coordinator understands: the value of a
/// group is of a version that does not exist.
fn append_unknown_version(segment: &Path, offset: i64) {
    let mut bytes = std::fs::read(segment).unwrap();
    let epoch = bytes[LEADER_EPOCH].to_vec();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(NOON, Some(b"\0\x02\0\x01b"), Some(b"\0\x63what will be"), &[]);
    let mut batch = builder.build().unwrap().to_vec();
    batch[BASE_OFFSET].copy_from_slice(&offset.to_be_bytes());
    batch[LEADER_EPOCH].copy_from_slice(&epoch);
    bytes.extend(batch);
    std::fs::write(segment, bytes).unwrap();
}

/// KAFKA-18672, in a whole broker: serving a part of the groups would lose the rest.
#[test]
fn a_record_that_is_not_understood_stops_its_coordinator_and_no_other() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::ERROR)
        .with_writer(move || writer.clone());
    subscriber.try_init().unwrap();

    assert_eq!((partition_for(HURT, 2), partition_for(WELL, 2)), (0, 1));
    let rig = Rig::start(&[("offsets.topic.num.partitions", "2")]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let find = FindCoordinatorRequest { key: HURT.to_owned(), ..FindCoordinatorRequest::default() };
    assert_eq!(client.call(3, &find).error_code, 0);
    assert_eq!((commit(&mut client, HURT, 5), commit(&mut client, WELL, 6)), (0, 0));

    let rig = rig.restart_damaged(|home| {
        let segment = home.join("a/__consumer_offsets-0/00000000000000000000.log");
        append_unknown_version(&segment, 1);
    });
    let mut client = rig.client();
    let refused = ErrorCode::CoordinatorNotAvailable;
    assert_eq!(committed(&mut client, HURT), Err(refused));
    assert_eq!(commit(&mut client, HURT, 7), refused.code());
    let join = ConsumerGroupHeartbeatRequest {
        group_id: HURT.to_owned(),
        member_id: "m".to_owned(),
        rebalance_timeout_ms: 1_000,
        subscribed_topic_names: Some(vec!["t".to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    assert_eq!(client.call(1, &join).error_code, refused.code());

    assert_eq!(committed(&mut client, WELL), Ok(6));
    assert_eq!(commit(&mut client, WELL, 8), 0);
    let join = ConsumerGroupHeartbeatRequest { group_id: WELL.to_owned(), ..join };
    assert_eq!(client.call(1, &join).error_code, 0);

    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let said: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("__consumer_offsets-0 cannot be loaded"))
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    for part in
        ["record 1", "group b", "What it coordinates is not served; the other partitions are"]
    {
        assert!(said[0].contains(part), "{}", said[0]);
    }
}

/// The Java client asks for the names of what it is given by id, and sends an empty name along.
#[test]
fn metadata_is_found_by_id_whatever_the_name() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    let topic_id = client.create("t", 1, &[]);
    let mut ask = |topic_id| {
        let topic = MetadataRequestTopic { topic_id, name: Some(String::new()) };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let found = client.call(12, &request).topics.remove(0);
        (ErrorCode::from_code(found.error_code).unwrap(), found.name)
    };
    assert_eq!(ask(topic_id), (ErrorCode::None, Some("t".to_owned())));
    let unknown = kalda_model::Uuid::from_bytes([7; 16]);
    assert_eq!(ask(unknown), (ErrorCode::UnknownTopicId, None));
}
