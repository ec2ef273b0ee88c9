//! OffsetFetch (key 9, versions 1–10, flexible from 6): reads back what a group has committed.
//!
//! Version 10 is not stable in Kafka 4.1, to be offered only where unstable versions are enabled.
//!
//! - v2: request allows null `topics`; response adds `error_code`.
//! - v3: response adds `throttle_time_ms`.
//! - v4: same layout; the broker answers before it throttles (KIP-219).
//! - v5: response adds `committed_leader_epoch`.
//! - v6: flexible.
//! - v7: request adds `require_stable`.
//! - v8: request adds `groups` and drops `group_id`, `topics`; response adds `groups` and drops
//!   `topics`, `error_code`.
//! - v9: request adds `member_id`, `member_epoch` (KIP-848).
//! - v10: request adds `topic_id` and drops `name`; response adds `topic_id` and drops `name`
//!   (KIP-848).

use kalda_model::Uuid;

use crate::Message;

/// The groups and partitions asked about; null topics are all.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 9, versions = 1..=10, flexible = 6.., response = OffsetFetchResponse)]
pub struct OffsetFetchRequest {
    #[versions(0..=7)]
    pub group_id: String,
    #[versions(0..=7)]
    #[nullable(2..=7)]
    #[default(empty)]
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    #[versions(8..)]
    pub groups: Vec<OffsetFetchRequestGroup>,
    #[versions(7..)]
    pub require_stable: bool,
}

/// One of [`OffsetFetchRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetFetchRequestTopic {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

/// One of [`OffsetFetchRequest::groups`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetFetchRequestGroup {
    pub group_id: String,
    #[versions(9..)]
    #[ignorable]
    pub member_id: Option<String>,
    #[versions(9..)]
    #[default(-1)]
    #[ignorable]
    pub member_epoch: i32,
    #[default(empty)]
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

/// One of [`OffsetFetchRequestGroup::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetFetchRequestTopics {
    #[versions(8..=9)]
    #[ignorable]
    pub name: String,
    #[versions(10..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partition_indexes: Vec<i32>,
}

/// The offsets stored, -1 where there is none.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=10, flexible = 6..)]
pub struct OffsetFetchResponse {
    #[versions(3..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    #[versions(0..=7)]
    pub topics: Vec<OffsetFetchResponseTopic>,
    #[versions(2..=7)]
    #[ignorable]
    pub error_code: i16,
    #[versions(8..)]
    pub groups: Vec<OffsetFetchResponseGroup>,
}

/// One of [`OffsetFetchResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetFetchResponseTopic {
    pub name: String,
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

/// One of [`OffsetFetchResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetFetchResponsePartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    #[versions(5..=7)]
    #[default(-1)]
    #[ignorable]
    pub committed_leader_epoch: i32,
    #[default(empty)]
    pub metadata: Option<String>,
    pub error_code: i16,
}

/// One of [`OffsetFetchResponse::groups`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetFetchResponseGroup {
    pub group_id: String,
    pub topics: Vec<OffsetFetchResponseTopics>,
    pub error_code: i16,
}

/// One of [`OffsetFetchResponseGroup::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetFetchResponseTopics {
    #[versions(8..=9)]
    #[ignorable]
    pub name: String,
    #[versions(10..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

/// One of [`OffsetFetchResponseTopics::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OffsetFetchResponsePartitions {
    pub partition_index: i32,
    pub committed_offset: i64,
    #[default(-1)]
    pub committed_leader_epoch: i32,
    #[default(empty)]
    pub metadata: Option<String>,
    pub error_code: i16,
}
