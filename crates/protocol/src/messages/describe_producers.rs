//! DescribeProducers (key 61, versions 0, flexible from 0): shows the producers that are active in
//! partitions (KIP-664).

use crate::Message;

/// The partitions asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 61, versions = 0..=0, flexible = 0.., response = DescribeProducersResponse)]
pub struct DescribeProducersRequest {
    pub topics: Vec<TopicRequest>,
}

/// One of [`DescribeProducersRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicRequest {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

/// The producers by partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DescribeProducersResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<TopicResponse>,
}

/// One of [`DescribeProducersResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicResponse {
    pub name: String,
    pub partitions: Vec<PartitionResponse>,
}

/// One of [`TopicResponse::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub active_producers: Vec<ProducerState>,
}

/// One of [`PartitionResponse::active_producers`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ProducerState {
    pub producer_id: i64,
    pub producer_epoch: i32,
    #[default(-1)]
    pub last_sequence: i32,
    #[default(-1)]
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    #[default(-1)]
    pub current_txn_start_offset: i64,
}
