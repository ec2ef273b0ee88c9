//! TxnOffsetCommit (key 28, versions 0–5, flexible from 3): stores offsets of a group that count
//! once the transaction commits (KIP-98, KIP-447).
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: request adds `committed_leader_epoch`.
//! - v3: request adds `generation_id`, `member_id`, `group_instance_id`; flexible.
//! - v4: same layout; may answer TRANSACTION_ABORTABLE (KIP-890).
//! - v5: same layout; adds the group to the transaction by itself (KIP-890).

use crate::Message;

/// The offsets to store.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 28, versions = 0..=5, flexible = 3.., response = TxnOffsetCommitResponse)]
pub struct TxnOffsetCommitRequest {
    pub transactional_id: String,
    pub group_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    #[versions(3..)]
    #[default(-1)]
    pub generation_id: i32,
    #[versions(3..)]
    pub member_id: String,
    #[versions(3..)]
    pub group_instance_id: Option<String>,
    pub topics: Vec<TxnOffsetCommitRequestTopic>,
}

/// One of [`TxnOffsetCommitRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TxnOffsetCommitRequestTopic {
    pub name: String,
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

/// One of [`TxnOffsetCommitRequestTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TxnOffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    #[versions(2..)]
    #[default(-1)]
    #[ignorable]
    pub committed_leader_epoch: i32,
    #[default(empty)]
    pub committed_metadata: Option<String>,
}

/// One error code per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=5, flexible = 3..)]
pub struct TxnOffsetCommitResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<TxnOffsetCommitResponseTopic>,
}

/// One of [`TxnOffsetCommitResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TxnOffsetCommitResponseTopic {
    pub name: String,
    pub partitions: Vec<TxnOffsetCommitResponsePartition>,
}

/// One of [`TxnOffsetCommitResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TxnOffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}
