//! ShareGroupStatePartitionMetadata (record type 15, value versions 0, flexible from 0): which
//! share partitions have stored state, are getting it or losing it.

use kalda_model::Uuid;

use crate::Message;

/// The key of a ShareGroupStatePartitionMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 15, versions = 0..=0)]
pub struct ShareGroupStatePartitionMetadataKey {
    pub group_id: String,
}

/// Which share partitions have stored state, are getting it or losing it.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ShareGroupStatePartitionMetadataValue {
    pub initializing_topics: Vec<TopicPartitionsInfo>,
    pub initialized_topics: Vec<TopicPartitionsInfo>,
    pub deleting_topics: Vec<TopicInfo>,
}

/// One of [`ShareGroupStatePartitionMetadataValue::initializing_topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartitionsInfo {
    pub topic_id: Uuid,
    pub topic_name: String,
    pub partitions: Vec<i32>,
}

/// One of [`ShareGroupStatePartitionMetadataValue::deleting_topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicInfo {
    pub topic_id: Uuid,
    pub topic_name: String,
}
