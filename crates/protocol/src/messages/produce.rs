//! Produce (key 0, versions 3–13, flexible from 9): appends record batches to partitions. `records`
//! is handed on as it came.
//!
//! - v4: same layout; may answer KAFKA_STORAGE_ERROR (KIP-112).
//! - v5: response adds `log_start_offset` (KIP-110).
//! - v6: same layout; the broker answers before it throttles (KIP-219).
//! - v7: same layout; accepts zstd (KIP-110).
//! - v8: response adds `record_errors`, `error_message` (KIP-467).
//! - v9: flexible.
//! - v10: response adds `current_leader`, `node_endpoints` (KIP-951).
//! - v11: same layout; may answer TRANSACTION_ABORTABLE (KIP-890).
//! - v12: same layout; adds partitions to the transaction by itself (KIP-890).
//! - v13: request adds `topic_id` and drops `name`; response adds `topic_id` and drops `name`
//!   (KIP-516).

use bytes::Bytes;
use kalda_model::Uuid;

use crate::Message;

/// Batches to append, by topic and partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 0, versions = 3..=13, flexible = 9.., response = ProduceResponse)]
pub struct ProduceRequest {
    pub transactional_id: Option<String>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Vec<TopicProduceData>,
}

/// One of [`ProduceRequest::topic_data`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicProduceData {
    #[versions(0..=12)]
    #[ignorable]
    pub name: String,
    #[versions(13..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partition_data: Vec<PartitionProduceData>,
}

/// One of [`TopicProduceData::partition_data`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionProduceData {
    pub index: i32,
    pub records: Option<Bytes>,
}

/// Where each batch was appended, or why not.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 3..=13, flexible = 9..)]
pub struct ProduceResponse {
    pub responses: Vec<TopicProduceResponse>,
    pub throttle_time_ms: i32,
    #[tag(0)]
    #[versions(10..)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`ProduceResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicProduceResponse {
    #[versions(0..=12)]
    #[ignorable]
    pub name: String,
    #[versions(13..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partition_responses: Vec<PartitionProduceResponse>,
}

/// One of [`TopicProduceResponse::partition_responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionProduceResponse {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    #[default(-1)]
    pub log_append_time_ms: i64,
    #[versions(5..)]
    #[default(-1)]
    #[ignorable]
    pub log_start_offset: i64,
    #[versions(8..)]
    #[ignorable]
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    #[versions(8..)]
    #[ignorable]
    pub error_message: Option<String>,
    #[tag(0)]
    #[versions(10..)]
    pub current_leader: LeaderIdAndEpoch,
}

/// One of [`PartitionProduceResponse::record_errors`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct BatchIndexAndErrorMessage {
    pub batch_index: i32,
    pub batch_index_error_message: Option<String>,
}

/// The value of [`PartitionProduceResponse::current_leader`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct LeaderIdAndEpoch {
    #[default(-1)]
    pub leader_id: i32,
    #[default(-1)]
    pub leader_epoch: i32,
}

/// One of [`ProduceResponse::node_endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}
