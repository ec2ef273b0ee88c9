//! Heartbeat (key 12, versions 0–4, flexible from 4): keeps a member in its classic group and tells
//! it of rebalances.
//!
//! - v1: response adds `throttle_time_ms`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: request adds `group_instance_id`.
//! - v4: flexible.

use crate::Message;

/// The member that is alive.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 12, versions = 0..=4, flexible = 4.., response = HeartbeatResponse)]
pub struct HeartbeatRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    #[versions(3..)]
    pub group_instance_id: Option<String>,
}

/// REBALANCE_IN_PROGRESS is the call to join again.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 4..)]
pub struct HeartbeatResponse {
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
