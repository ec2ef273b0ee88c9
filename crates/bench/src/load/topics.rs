//! Topics of a load: created, awaited, deleted.

use std::time::{Duration, Instant};

use kalda_model::Uuid;
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kalda_protocol::messages::delete_topics::DeleteTopicsRequest;
use kalda_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kalda_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};

use super::WAIT_MS;
use crate::Outcome;
use crate::wire::Connection;

/// Versions that every broker measured here has, with topics by name.
const CREATE_TOPICS: i16 = 5;
const DELETE_TOPICS: i16 = 4;
/// The first with topic ids.
const METADATA: i16 = 10;
/// The version for [`latest_offsets`].
pub(crate) const LIST_OFFSETS: i16 = 5;
const LATEST: i64 = -1;
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// Creates a topic.
pub(crate) fn create_topic(
    connection: &mut Connection,
    name: &str,
    num_partitions: i32,
    configs: &[(&str, &str)],
) -> Outcome<()> {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let answer = connection.call(&request, CREATE_TOPICS)?;
    if let Some(topic) = answer.topics.iter().find(|topic| topic.error_code != 0) {
        return Err(format!("{name}: {} {:?}", topic.error_code, topic.error_message).into());
    }
    await_log(connection, name)
}

/// The id that a topic was given.
pub(crate) fn topic_id(connection: &mut Connection, name: &str) -> Outcome<Uuid> {
    let topic =
        MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let answer = connection.call(&request, METADATA)?;
    Ok(answer.topics.first().ok_or("a topic without metadata")?.topic_id)
}

/// Waits until partition 0 is served: the controller's yes comes before the broker has the log.
fn await_log(connection: &mut Connection, topic: &str) -> Outcome<()> {
    let asked = Instant::now();
    while asked.elapsed() < SERVED_WITHIN {
        let answer = connection.call(&latest_offsets([(topic.to_owned(), 1)]), LIST_OFFSETS)?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if partitions.all(|partition| partition.error_code == 0) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{topic} is not served {SERVED_WITHIN:?} after it was created").into())
}

/// Asks for the end of each of the first so many partitions.
pub(crate) fn latest_offsets(
    topics: impl IntoIterator<Item = (String, i32)>,
) -> ListOffsetsRequest {
    let latest = |partition_index| ListOffsetsPartition {
        partition_index,
        timestamp: LATEST,
        ..ListOffsetsPartition::default()
    };
    let topic = |(name, partitions)| ListOffsetsTopic {
        name,
        partitions: (0..partitions).map(latest).collect(),
    };
    ListOffsetsRequest {
        replica_id: -1,
        topics: topics.into_iter().map(topic).collect(),
        ..ListOffsetsRequest::default()
    }
}

/// Deletes it.
pub(crate) fn delete_topic(connection: &mut Connection, name: &str) -> Outcome<()> {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.to_owned()],
        timeout_ms: WAIT_MS,
        ..DeleteTopicsRequest::default()
    };
    let answer = connection.call(&request, DELETE_TOPICS)?;
    match answer.responses.iter().all(|topic| topic.error_code == 0) {
        true => Ok(()),
        false => Err(format!("{name} was not deleted: {answer:?}").into()),
    }
}
