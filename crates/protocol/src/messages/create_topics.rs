//! CreateTopics (key 19, versions 0–7, flexible from 5): creates topics, or with `validate_only`
//! tells whether it could.
//!
//! Versions below 2 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! - v1: request adds `validate_only`; response adds `error_message`.
//! - v2: response adds `throttle_time_ms`.
//! - v3: same layout; the broker answers before it throttles (KIP-219).
//! - v4: same layout; -1 asks for the default number of partitions or replicas (KIP-464).
//! - v5: response adds `topic_config_error_code`, `num_partitions`, `replication_factor`,
//!   `configs`; flexible (KIP-525).
//! - v6: same layout; may answer THROTTLING_QUOTA_EXCEEDED (KIP-599).
//! - v7: response adds `topic_id`; the id of the new topic (KIP-516).

use kalda_model::Uuid;

use crate::Message;

/// The topics with partitions, replicas and configs.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 19, versions = 0..=7, flexible = 5.., response = CreateTopicsResponse)]
pub struct CreateTopicsRequest {
    pub topics: Vec<CreatableTopic>,
    #[default(60000)]
    pub timeout_ms: i32,
    #[versions(1..)]
    pub validate_only: bool,
}

/// One of [`CreateTopicsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatableTopic {
    pub name: String,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub assignments: Vec<CreatableReplicaAssignment>,
    pub configs: Vec<CreatableTopicConfig>,
}

/// One of [`CreatableTopic::assignments`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatableReplicaAssignment {
    pub partition_index: i32,
    pub broker_ids: Vec<i32>,
}

/// One of [`CreatableTopic::configs`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatableTopicConfig {
    pub name: String,
    #[default(empty)]
    pub value: Option<String>,
}

/// The outcome per topic, from version 5 on with its configs.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=7, flexible = 5..)]
pub struct CreateTopicsResponse {
    #[versions(2..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub topics: Vec<CreatableTopicResult>,
}

/// One of [`CreateTopicsResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatableTopicResult {
    pub name: String,
    #[versions(7..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub error_code: i16,
    #[versions(1..)]
    #[default(empty)]
    #[ignorable]
    pub error_message: Option<String>,
    #[tag(0)]
    #[versions(5..)]
    #[ignorable]
    pub topic_config_error_code: i16,
    #[versions(5..)]
    #[default(-1)]
    #[ignorable]
    pub num_partitions: i32,
    #[versions(5..)]
    #[default(-1)]
    #[ignorable]
    pub replication_factor: i16,
    #[versions(5..)]
    #[default(empty)]
    #[ignorable]
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

/// One of [`CreatableTopicResult::configs`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatableTopicConfigs {
    pub name: String,
    #[default(empty)]
    pub value: Option<String>,
    pub read_only: bool,
    #[default(-1)]
    pub config_source: i8,
    pub is_sensitive: bool,
}
