//! DeleteGroups (key 42, versions 0–2, flexible from 2):
//!
//! - v1: no change of layout.
//! - v2: flexible.

use crate::Message;

/// Asks for DeleteGroups.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 42, versions = 0..=2, flexible = 2.., response = DeleteGroupsResponse)]
pub struct DeleteGroupsRequest {
    pub groups_names: Vec<String>,
}

/// Answers [`DeleteGroupsRequest`].
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
