//! Fetch (key 1, versions 4–18, flexible from 12): reads record batches, for consumers and for
//! replicas, with long polling and, from version 7 on, incremental sessions (KIP-227).
//!
//! - v5: request adds `log_start_offset`; response adds `log_start_offset`.
//! - v6: same layout; may answer KAFKA_STORAGE_ERROR (KIP-112).
//! - v7: request adds `session_id`, `session_epoch`, `forgotten_topics_data`; response adds
//!   `error_code`, `session_id`.
//! - v8: same layout; the broker answers before it throttles (KIP-219).
//! - v9: request adds `current_leader_epoch` (KIP-320).
//! - v10: same layout; may answer with zstd (KIP-110).
//! - v11: request adds `rack_id`; response adds `preferred_read_replica`; consumers may read from a
//!   near follower (KIP-392).
//! - v12: request adds `cluster_id`, `last_fetched_epoch`; response adds `diverging_epoch`,
//!   `current_leader`, `snapshot_id`; flexible.
//! - v13: request adds `topic_id` and drops `topic`; response adds `topic_id` and drops `topic`
//!   (KIP-516).
//! - v14: same layout; may answer OFFSET_MOVED_TO_TIERED_STORAGE (KIP-405).
//! - v15: request adds `replica_state` and drops `replica_id` (KIP-903).
//! - v16: response adds `node_endpoints` (KIP-951).
//! - v17: request adds `replica_directory_id` (KIP-853).
//! - v18: request adds `high_watermark` (KIP-1166).

use bytes::Bytes;
use kalda_model::Uuid;

use crate::Message;

/// Where to read on, by topic and partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 1, versions = 4..=18, flexible = 12.., response = FetchResponse)]
pub struct FetchRequest {
    #[tag(0)]
    #[versions(12..)]
    #[ignorable]
    pub cluster_id: Option<String>,
    #[versions(0..=14)]
    #[default(-1)]
    pub replica_id: i32,
    #[tag(1)]
    #[versions(15..)]
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    #[default(i32::MAX)]
    pub max_bytes: i32,
    pub isolation_level: i8,
    #[versions(7..)]
    #[ignorable]
    pub session_id: i32,
    #[versions(7..)]
    #[default(-1)]
    #[ignorable]
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    #[versions(7..)]
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    #[versions(11..)]
    #[ignorable]
    pub rack_id: String,
}

/// The value of [`FetchRequest::replica_state`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReplicaState {
    #[default(-1)]
    pub replica_id: i32,
    #[default(-1)]
    pub replica_epoch: i64,
}

/// One of [`FetchRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct FetchTopic {
    #[versions(0..=12)]
    #[ignorable]
    pub topic: String,
    #[versions(13..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

/// One of [`FetchTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct FetchPartition {
    pub partition: i32,
    #[versions(9..)]
    #[default(-1)]
    #[ignorable]
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    #[versions(12..)]
    #[default(-1)]
    pub last_fetched_epoch: i32,
    #[versions(5..)]
    #[default(-1)]
    #[ignorable]
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    #[tag(0)]
    #[versions(17..)]
    #[ignorable]
    pub replica_directory_id: Uuid,
    #[tag(1)]
    #[versions(18..)]
    #[default(i64::MAX)]
    #[ignorable]
    pub high_watermark: i64,
}

/// One of [`FetchRequest::forgotten_topics_data`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ForgottenTopic {
    #[versions(7..=12)]
    #[ignorable]
    pub topic: String,
    #[versions(13..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

/// Batches as they lie in the log, by topic and partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 4..=18, flexible = 12..)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    #[versions(7..)]
    #[ignorable]
    pub error_code: i16,
    #[versions(7..)]
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse>,
    #[tag(0)]
    #[versions(16..)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`FetchResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct FetchableTopicResponse {
    #[versions(0..=12)]
    #[ignorable]
    pub topic: String,
    #[versions(13..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

/// One of [`FetchableTopicResponse::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    #[default(-1)]
    pub last_stable_offset: i64,
    #[versions(5..)]
    #[default(-1)]
    #[ignorable]
    pub log_start_offset: i64,
    #[tag(0)]
    #[versions(12..)]
    pub diverging_epoch: EpochEndOffset,
    #[tag(1)]
    #[versions(12..)]
    pub current_leader: LeaderIdAndEpoch,
    #[tag(2)]
    #[versions(12..)]
    pub snapshot_id: SnapshotId,
    #[default(empty)]
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    #[versions(11..)]
    #[default(-1)]
    pub preferred_read_replica: i32,
    pub records: Option<Bytes>,
}

/// The value of [`PartitionData::diverging_epoch`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct EpochEndOffset {
    #[default(-1)]
    pub epoch: i32,
    #[default(-1)]
    pub end_offset: i64,
}

/// The value of [`PartitionData::current_leader`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct LeaderIdAndEpoch {
    #[default(-1)]
    pub leader_id: i32,
    #[default(-1)]
    pub leader_epoch: i32,
}

/// The value of [`PartitionData::snapshot_id`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct SnapshotId {
    #[default(-1)]
    pub end_offset: i64,
    #[default(-1)]
    pub epoch: i32,
}

/// One of [`PartitionData::aborted_transactions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

/// One of [`FetchResponse::node_endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}
