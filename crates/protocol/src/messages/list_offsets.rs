//! ListOffsets (key 2, versions 1–10, flexible from 6): finds the offset that belongs to a
//! timestamp or to one of the special positions: -1 the end, -2 the start, -3 the largest
//! timestamp, -4 and -5 the borders of local and remote log.
//!
//! - v2: request adds `isolation_level`; response adds `throttle_time_ms`.
//! - v3: same layout; the broker answers before it throttles (KIP-219).
//! - v4: request adds `current_leader_epoch`; response adds `leader_epoch`.
//! - v5: same layout; may answer OFFSET_NOT_AVAILABLE (KIP-207).
//! - v6: flexible.
//! - v7: same layout; knows timestamp -3, the record with the largest timestamp (KIP-734).
//! - v8: same layout; knows timestamp -4, the start of the local log (KIP-405).
//! - v9: same layout; knows timestamp -5, the end of the remote log (KIP-1005).
//! - v10: request adds `timeout_ms` (KIP-1075).

use crate::Message;

/// The positions asked for, by partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 2, versions = 1..=10, flexible = 6.., response = ListOffsetsResponse)]
pub struct ListOffsetsRequest {
    pub replica_id: i32,
    #[versions(2..)]
    pub isolation_level: i8,
    pub topics: Vec<ListOffsetsTopic>,
    #[versions(10..)]
    #[ignorable]
    pub timeout_ms: i32,
}

/// One of [`ListOffsetsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ListOffsetsTopic {
    pub name: String,
    pub partitions: Vec<ListOffsetsPartition>,
}

/// One of [`ListOffsetsTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ListOffsetsPartition {
    pub partition_index: i32,
    #[versions(4..)]
    #[default(-1)]
    #[ignorable]
    pub current_leader_epoch: i32,
    pub timestamp: i64,
}

/// The offsets found, by partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=10, flexible = 6..)]
pub struct ListOffsetsResponse {
    #[versions(2..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub topics: Vec<ListOffsetsTopicResponse>,
}

/// One of [`ListOffsetsResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ListOffsetsTopicResponse {
    pub name: String,
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

/// One of [`ListOffsetsTopicResponse::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ListOffsetsPartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    #[default(-1)]
    pub timestamp: i64,
    #[default(-1)]
    pub offset: i64,
    #[versions(4..)]
    #[default(-1)]
    pub leader_epoch: i32,
}
