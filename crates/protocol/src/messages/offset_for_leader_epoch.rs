//! OffsetForLeaderEpoch (key 23, versions 2–4, flexible from 4): tells where a leader epoch ended,
//! so that consumers and followers find the point at which logs part (KIP-101, KIP-320).
//!
//! - v3: request adds `replica_id`.
//! - v4: flexible.

use crate::Message;

/// The epochs asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 23, versions = 2..=4, flexible = 4.., response = OffsetForLeaderEpochResponse)]
pub struct OffsetForLeaderEpochRequest {
    #[versions(3..)]
    #[default(-2)]
    #[ignorable]
    pub replica_id: i32,
    pub topics: Vec<OffsetForLeaderTopic>,
}

/// One of [`OffsetForLeaderEpochRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetForLeaderTopic {
    pub topic: String,
    pub partitions: Vec<OffsetForLeaderPartition>,
}

/// One of [`OffsetForLeaderTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetForLeaderPartition {
    pub partition: i32,
    #[default(-1)]
    pub current_leader_epoch: i32,
    pub leader_epoch: i32,
}

/// The end offset of each epoch.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 2..=4, flexible = 4..)]
pub struct OffsetForLeaderEpochResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetForLeaderTopicResult>,
}

/// One of [`OffsetForLeaderEpochResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetForLeaderTopicResult {
    pub topic: String,
    pub partitions: Vec<EpochEndOffset>,
}

/// One of [`OffsetForLeaderTopicResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct EpochEndOffset {
    pub error_code: i16,
    pub partition: i32,
    #[default(-1)]
    pub leader_epoch: i32,
    #[default(-1)]
    pub end_offset: i64,
}
