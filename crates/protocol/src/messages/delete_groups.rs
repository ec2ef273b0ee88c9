//! DeleteGroups (key 42, versions 0–2, flexible from 2): deletes empty groups with their offsets
//! (KIP-229).
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: flexible.

use crate::Message;

/// The groups to delete.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 42, versions = 0..=2, flexible = 2.., response = DeleteGroupsResponse)]
pub struct DeleteGroupsRequest {
    pub groups_names: Vec<String>,
}

/// The outcome per group.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 2..)]
pub struct DeleteGroupsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<DeletableGroupResult>,
}

/// One of [`DeleteGroupsResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeletableGroupResult {
    pub group_id: String,
    pub error_code: i16,
}
