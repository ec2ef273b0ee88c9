//! DeleteRecords (key 21, versions 0–2, flexible from 2):
//!
//! - v1: no change of layout.
//! - v2: flexible.

use crate::Message;

/// Asks for DeleteRecords.
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

/// Answers [`DeleteRecordsRequest`].
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
