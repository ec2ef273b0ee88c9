//! DescribeTopicPartitions (key 75, versions 0, flexible from 0): shows partitions page by page,
//! with eligible leader replicas (KIP-966).

use kalda_model::Uuid;

use crate::Message;

/// The topics, and where to go on.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 75, versions = 0..=0, flexible = 0.., response = DescribeTopicPartitionsResponse)]
pub struct DescribeTopicPartitionsRequest {
    pub topics: Vec<TopicRequest>,
    #[default(2000)]
    pub response_partition_limit: i32,
    pub cursor: Option<Cursor>,
}

/// One of [`DescribeTopicPartitionsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicRequest {
    pub name: String,
}

/// The value of [`DescribeTopicPartitionsRequest::cursor`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Cursor {
    pub topic_name: String,
    pub partition_index: i32,
}

/// A page of partitions.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DescribeTopicPartitionsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    pub next_cursor: Option<Cursor>,
}

/// One of [`DescribeTopicPartitionsResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeTopicPartitionsResponseTopic {
    pub error_code: i16,
    #[default(empty)]
    pub name: Option<String>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    #[default(i32::MIN)]
    pub topic_authorized_operations: i32,
}

/// One of [`DescribeTopicPartitionsResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeTopicPartitionsResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    #[default(-1)]
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    pub eligible_leader_replicas: Option<Vec<i32>>,
    pub last_known_elr: Option<Vec<i32>>,
    pub offline_replicas: Vec<i32>,
}
