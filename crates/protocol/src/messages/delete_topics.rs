//! DeleteTopics (key 20, versions 0–6, flexible from 4): deletes topics by name or, from version 6
//! on, by id.
//!
//! Versions below 1 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! - v1: response adds `throttle_time_ms`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: same layout; may answer TOPIC_DELETION_DISABLED (KIP-322).
//! - v4: flexible.
//! - v5: response adds `error_message`; may answer THROTTLING_QUOTA_EXCEEDED (KIP-599).
//! - v6: request adds `topics` and drops `topic_names`; response adds `topic_id` and allows null
//!   `name`.

use kalda_model::Uuid;

use crate::Message;

/// The topics to delete.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 20, versions = 0..=6, flexible = 4.., response = DeleteTopicsResponse)]
pub struct DeleteTopicsRequest {
    #[versions(6..)]
    pub topics: Vec<DeleteTopicState>,
    #[versions(0..=5)]
    #[ignorable]
    pub topic_names: Vec<String>,
    pub timeout_ms: i32,
}

/// One of [`DeleteTopicsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteTopicState {
    pub name: Option<String>,
    pub topic_id: Uuid,
}

/// The outcome per topic.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=6, flexible = 4..)]
pub struct DeleteTopicsResponse {
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult>,
}

/// One of [`DeleteTopicsResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeletableTopicResult {
    #[nullable(6..)]
    #[default(empty)]
    pub name: Option<String>,
    #[versions(6..)]
    #[ignorable]
    pub topic_id: Uuid,
    pub error_code: i16,
    #[versions(5..)]
    #[ignorable]
    pub error_message: Option<String>,
}
