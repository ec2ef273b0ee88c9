//! OffsetCommit (key 8, versions 1–10, flexible from 8): stores how far a group has consumed.
//!
//! Versions below 2 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! Version 10 is not stable in Kafka 4.1, to be offered only where unstable versions are enabled.
//!
//! - v2: request adds `retention_time_ms` and drops `commit_timestamp`.
//! - v3: response adds `throttle_time_ms`.
//! - v4: same layout; the broker answers before it throttles (KIP-219).
//! - v5: request drops `retention_time_ms`.
//! - v6: request adds `committed_leader_epoch`.
//! - v7: request adds `group_instance_id`.
//! - v8: flexible.
//! - v9: same layout; members of the new protocol commit with their epoch (KIP-848).
//! - v10: request adds `topic_id` and drops `name`; response adds `topic_id` and drops `name`
//!   (KIP-848).

use kalda_model::Uuid;

use crate::Message;

/// The offsets to store, by partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 8, versions = 1..=10, flexible = 8.., response = OffsetCommitResponse)]
pub struct OffsetCommitRequest {
    pub group_id: String,
    #[default(-1)]
    pub generation_id_or_member_epoch: i32,
    pub member_id: String,
    #[versions(7..)]
    pub group_instance_id: Option<String>,
    #[versions(2..=4)]
    #[default(-1)]
    #[ignorable]
    pub retention_time_ms: i64,
    pub topics: Vec<OffsetCommitRequestTopic>,
}

/// One of [`OffsetCommitRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetCommitRequestTopic {
    #[versions(0..=9)]
    #[ignorable]
    pub name: String,
    #[versions(10..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

/// One of [`OffsetCommitRequestTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    #[versions(6..)]
    #[default(-1)]
    #[ignorable]
    pub committed_leader_epoch: i32,
    #[versions(1)]
    #[default(-1)]
    pub commit_timestamp: i64,
    #[default(empty)]
    pub committed_metadata: Option<String>,
}

/// One error code per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=10, flexible = 8..)]
pub struct OffsetCommitResponse {
    #[versions(3..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetCommitResponseTopic>,
}

/// One of [`OffsetCommitResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetCommitResponseTopic {
    #[versions(0..=9)]
    #[ignorable]
    pub name: String,
    #[versions(10..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

/// One of [`OffsetCommitResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}
