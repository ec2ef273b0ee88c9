//! JoinGroup (key 11, versions 0–9, flexible from 6): enters a classic group and waits for the
//! others to do so too; the leader among them learns all members.
//!
//! - v1: request adds `rebalance_timeout_ms`.
//! - v2: response adds `throttle_time_ms`.
//! - v3: same layout; the broker answers before it throttles (KIP-219).
//! - v4: same layout; a first join without an id is answered with MEMBER_ID_REQUIRED (KIP-394).
//! - v5: request adds `group_instance_id`; response adds `group_instance_id`.
//! - v6: flexible (KIP-559).
//! - v7: response adds `protocol_type` and allows null `protocol_name`.
//! - v8: request adds `reason` (KIP-800).
//! - v9: response adds `skip_assignment`.

use bytes::Bytes;

use crate::Message;

/// A member and the protocols it can follow.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 11, versions = 0..=9, flexible = 6.., response = JoinGroupResponse)]
pub struct JoinGroupRequest {
    pub group_id: String,
    pub session_timeout_ms: i32,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub rebalance_timeout_ms: i32,
    pub member_id: String,
    #[versions(5..)]
    pub group_instance_id: Option<String>,
    pub protocol_type: String,
    pub protocols: Vec<JoinGroupRequestProtocol>,
    #[versions(8..)]
    #[ignorable]
    pub reason: Option<String>,
}

/// One of [`JoinGroupRequest::protocols`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct JoinGroupRequestProtocol {
    pub name: String,
    pub metadata: Bytes,
}

/// The generation, its protocol and, for the leader, the members.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=9, flexible = 6..)]
pub struct JoinGroupResponse {
    #[versions(2..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(-1)]
    pub generation_id: i32,
    #[versions(7..)]
    #[ignorable]
    pub protocol_type: Option<String>,
    #[nullable(7..)]
    #[default(empty)]
    pub protocol_name: Option<String>,
    pub leader: String,
    #[versions(9..)]
    pub skip_assignment: bool,
    pub member_id: String,
    pub members: Vec<JoinGroupResponseMember>,
}

/// One of [`JoinGroupResponse::members`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct JoinGroupResponseMember {
    pub member_id: String,
    #[versions(5..)]
    #[ignorable]
    pub group_instance_id: Option<String>,
    pub metadata: Bytes,
}
