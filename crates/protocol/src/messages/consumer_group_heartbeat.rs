//! ConsumerGroupHeartbeat (key 68, versions 0–1, flexible from 0): is all that a consumer of the
//! new protocol says to its group: join, stay, acknowledge, leave (KIP-848).
//!
//! - v1: request adds `subscribed_topic_regex` (KIP-848, KIP-1082).

use kalda_model::Uuid;

use crate::Message;

/// The member, its epoch, and what has changed.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 68, versions = 0..=1, flexible = 0.., response = ConsumerGroupHeartbeatResponse)]
pub struct ConsumerGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    #[default(-1)]
    pub rebalance_timeout_ms: i32,
    pub subscribed_topic_names: Option<Vec<String>>,
    #[versions(1..)]
    pub subscribed_topic_regex: Option<String>,
    pub server_assignor: Option<String>,
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

/// One of [`ConsumerGroupHeartbeatRequest::topic_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

/// The epoch, and the assignment if it has changed.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 0..)]
pub struct ConsumerGroupHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    pub assignment: Option<Assignment>,
}

/// The value of [`ConsumerGroupHeartbeatResponse::assignment`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}
