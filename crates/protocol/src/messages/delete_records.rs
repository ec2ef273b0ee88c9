//! DeleteRecords (key 21, versions 0–2, flexible from 2): moves the start of partitions forward, so
//! that what lies below may go (KIP-107).
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: flexible.

use crate::Message;

/// The new start offsets; -1 is the high watermark.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 21, versions = 0..=2, flexible = 2.., response = DeleteRecordsResponse)]
pub struct DeleteRecordsRequest {
    pub topics: Vec<DeleteRecordsTopic>,
    pub timeout_ms: i32,
}

/// One of [`DeleteRecordsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteRecordsTopic {
    pub name: String,
    pub partitions: Vec<DeleteRecordsPartition>,
}

/// One of [`DeleteRecordsTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteRecordsPartition {
    pub partition_index: i32,
    pub offset: i64,
}

/// The start offsets reached.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 2..)]
pub struct DeleteRecordsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<DeleteRecordsTopicResult>,
}

/// One of [`DeleteRecordsResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteRecordsTopicResult {
    pub name: String,
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

/// One of [`DeleteRecordsTopicResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteRecordsPartitionResult {
    pub partition_index: i32,
    pub low_watermark: i64,
    pub error_code: i16,
}
