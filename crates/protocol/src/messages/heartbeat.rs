//! Heartbeat (key 12, versions 0–4, flexible from 4):
//!
//! - v1: response adds `throttle_time_ms`.
//! - v2: no change of layout.
//! - v3: request adds `group_instance_id`.
//! - v4: flexible.

use crate::Message;

/// Asks for Heartbeat.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 12, versions = 0..=4, flexible = 4.., response = HeartbeatResponse)]
pub struct HeartbeatRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    #[versions(3..)]
    pub group_instance_id: Option<String>,
}

/// Answers [`HeartbeatRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 4..)]
pub struct HeartbeatResponse {
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
