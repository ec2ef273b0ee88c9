//! Who reads what is committed, to the very end, and expects to get there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kalda_client::{Client, OffsetSpec, Seek};
use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::mover::PARTITIONS;
use crate::process::pause;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A record: where it is, and what it says.
pub(crate) type Seen = BTreeMap<(i32, i64), String>;

pub(crate) fn partitions(topic: &str) -> impl Iterator<Item = TopicPartition> {
    (0..PARTITIONS).map(move |index| TopicPartition::new(topic, index))
}

/// The high watermarks of a topic.
pub(crate) async fn ends(client: &Client, topic: &str) -> BTreeMap<TopicPartition, i64> {
    let wanted = partitions(topic).map(|partition| (partition, OffsetSpec::Latest)).collect();
    let listed = client.admin().list_offsets(&wanted).await.unwrap();
    let end = |(partition, listed): (_, kalda_client::Result<kalda_client::ListedOffset>)| {
        (partition, listed.unwrap().offset.unwrap().0)
    };
    listed.into_iter().map(end).collect()
}

/// Reads the committed records of a topic from `from` on up to the high watermark, which the last
/// stable offset has to reach, and leaves in `from` where it ended.
pub(crate) async fn read_committed(
    client: &Client,
    topic: &str,
    from: &mut BTreeMap<TopicPartition, i64>,
) -> Seen {
    let deadline = Instant::now() + PATIENCE;
    let mut consumer = client.consumer().unwrap();
    consumer.assign(partitions(topic));
    for partition in partitions(topic) {
        let at = from.get(&partition).copied().unwrap_or(0);
        consumer.seek(&partition, Seek::Offset(at)).unwrap();
    }
    let mut seen = Seen::new();
    let mut wanted = ends(client, topic).await;
    loop {
        for record in consumer.poll(Duration::from_millis(5)).await.unwrap() {
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            let at = (record.partition.partition, record.offset.0);
            let known = seen.insert(at, value);
            assert_eq!(known, None, "{topic}: {at:?} was read twice");
        }
        let position =
            |partition: &TopicPartition| consumer.position(partition).map_or(0, |at| at.0);
        if wanted.iter().all(|(partition, end)| position(partition) >= *end) {
            // Markers may have come meanwhile.
            let now = ends(client, topic).await;
            if now == wanted {
                *from = now;
                return seen;
            }
            wanted = now;
        }
        let at: Vec<_> = wanted.keys().map(position).collect();
        assert!(Instant::now() < deadline, "{topic}: {at:?} of {wanted:?} are stable");
    }
}

/// What a group has committed, when no transaction is about to change it.
pub(crate) fn committed(
    client: &mut crate::client::Client,
    group: &str,
    topic: &str,
) -> BTreeMap<TopicPartition, i64> {
    let deadline = Instant::now() + PATIENCE;
    let topics = vec![OffsetFetchRequestTopics {
        name: topic.to_owned(),
        partition_indexes: (0..PARTITIONS).collect(),
        ..Default::default()
    }];
    let group_id = group.to_owned();
    let groups =
        vec![OffsetFetchRequestGroup { group_id, topics: Some(topics), ..Default::default() }];
    let request = OffsetFetchRequest { groups, require_stable: true, ..Default::default() };
    loop {
        let response = client.call(8, &request);
        let answer = &response.groups[0];
        let mut found = BTreeMap::new();
        let mut codes = vec![answer.error_code];
        for at in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            codes.push(at.error_code);
            found.insert(TopicPartition::new(topic, at.partition_index), at.committed_offset);
        }
        let waits = [
            ErrorCode::UnstableOffsetCommit,
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::NotCoordinator,
        ]
        .map(ErrorCode::code);
        if codes.iter().all(|code| *code == 0) {
            found.retain(|_, offset| *offset >= 0);
            return found;
        }
        assert!(codes.iter().all(|code| *code == 0 || waits.contains(code)), "{group}: {codes:?}");
        assert!(Instant::now() < deadline, "{group}: {codes:?}");
        pause(Duration::from_millis(10));
    }
}
