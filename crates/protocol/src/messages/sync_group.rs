//! SyncGroup (key 14, versions 0–5, flexible from 4): spreads the assignments that the leader of a
//! classic group has made.
//!
//! - v1: response adds `throttle_time_ms`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: request adds `group_instance_id`.
//! - v4: flexible (KIP-559).
//! - v5: request adds `protocol_type`, `protocol_name`; response adds `protocol_type`,
//!   `protocol_name`.

use bytes::Bytes;

use crate::Message;

/// The assignments if the member leads, else none.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 14, versions = 0..=5, flexible = 4.., response = SyncGroupResponse)]
pub struct SyncGroupRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    #[versions(3..)]
    pub group_instance_id: Option<String>,
    #[versions(5..)]
    #[ignorable]
    pub protocol_type: Option<String>,
    #[versions(5..)]
    #[ignorable]
    pub protocol_name: Option<String>,
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

/// One of [`SyncGroupRequest::assignments`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct SyncGroupRequestAssignment {
    pub member_id: String,
    pub assignment: Bytes,
}

/// The assignment of the member that asked.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=5, flexible = 4..)]
pub struct SyncGroupResponse {
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[versions(5..)]
    #[ignorable]
    pub protocol_type: Option<String>,
    #[versions(5..)]
    #[ignorable]
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}
