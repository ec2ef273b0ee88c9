//! ConsumerGroupPartitionMetadata (record type 4, value versions 0, flexible from 0): the
//! partitions that a consumer group knew of. Read and deleted only; a hash took its place.

use kalda_model::Uuid;

use crate::Message;

/// The key of a ConsumerGroupPartitionMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 4, versions = 0..=0)]
pub struct ConsumerGroupPartitionMetadataKey {
    pub group_id: String,
}

/// The partitions that a consumer group knew of. Read and deleted only; a hash took its place.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupPartitionMetadataValue {
    pub topics: Vec<TopicMetadata>,
}

/// One of [`ConsumerGroupPartitionMetadataValue::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicMetadata {
    pub topic_id: Uuid,
    pub topic_name: String,
    pub num_partitions: i32,
    pub partition_metadata: Vec<PartitionMetadata>,
}

/// One of [`TopicMetadata::partition_metadata`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionMetadata {
    pub partition: i32,
    pub racks: Vec<String>,
}
