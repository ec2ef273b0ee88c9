//! LeaveGroup (key 13, versions 0–5, flexible from 4): removes members from a classic group, one
//! or, from version 3 on, several.
//!
//! - v1: response adds `throttle_time_ms`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: request adds `members` and drops `member_id`; response adds `members`.
//! - v4: flexible.
//! - v5: request adds `reason` (KIP-800).

use crate::Message;

/// The members that leave.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 13, versions = 0..=5, flexible = 4.., response = LeaveGroupResponse)]
pub struct LeaveGroupRequest {
    pub group_id: String,
    #[versions(0..=2)]
    pub member_id: String,
    #[versions(3..)]
    pub members: Vec<MemberIdentity>,
}

/// One of [`LeaveGroupRequest::members`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct MemberIdentity {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    #[versions(5..)]
    #[ignorable]
    pub reason: Option<String>,
}

/// One error code per member.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=5, flexible = 4..)]
pub struct LeaveGroupResponse {
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[versions(3..)]
    pub members: Vec<MemberResponse>,
}

/// One of [`LeaveGroupResponse::members`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct MemberResponse {
    pub member_id: String,
    #[default(empty)]
    pub group_instance_id: Option<String>,
    pub error_code: i16,
}
