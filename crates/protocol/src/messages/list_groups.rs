//! ListGroups (key 16, versions 0–5, flexible from 3): lists the groups that a broker coordinates,
//! of every type.
//!
//! - v1: response adds `throttle_time_ms`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: flexible.
//! - v4: request adds `states_filter`; response adds `group_state` (KIP-518).
//! - v5: request adds `types_filter`; response adds `group_type` (KIP-848).

use crate::Message;

/// Filters for state and type.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 16, versions = 0..=5, flexible = 3.., response = ListGroupsResponse)]
pub struct ListGroupsRequest {
    #[versions(4..)]
    pub states_filter: Vec<String>,
    #[versions(5..)]
    pub types_filter: Vec<String>,
}

/// The groups that match.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=5, flexible = 3..)]
pub struct ListGroupsResponse {
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub groups: Vec<ListedGroup>,
}

/// One of [`ListGroupsResponse::groups`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ListedGroup {
    pub group_id: String,
    pub protocol_type: String,
    #[versions(4..)]
    #[ignorable]
    pub group_state: String,
    #[versions(5..)]
    #[ignorable]
    pub group_type: String,
}
