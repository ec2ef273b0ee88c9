//! DescribeGroups (key 15, versions 0–6, flexible from 5): shows classic groups with their members;
//! their metadata stays opaque.
//!
//! - v1: response adds `throttle_time_ms`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: request adds `include_authorized_operations`; response adds `authorized_operations`.
//! - v4: response adds `group_instance_id`.
//! - v5: flexible.
//! - v6: response adds `error_message`; a group that does not exist is GROUP_ID_NOT_FOUND
//!   (KIP-1043).

use bytes::Bytes;

use crate::Message;

/// The groups asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 15, versions = 0..=6, flexible = 5.., response = DescribeGroupsResponse)]
pub struct DescribeGroupsRequest {
    pub groups: Vec<String>,
    #[versions(3..)]
    pub include_authorized_operations: bool,
}

/// The groups with members and state.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=6, flexible = 5..)]
pub struct DescribeGroupsResponse {
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

/// One of [`DescribeGroupsResponse::groups`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribedGroup {
    pub error_code: i16,
    #[versions(6..)]
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub protocol_type: String,
    pub protocol_data: String,
    pub members: Vec<DescribedGroupMember>,
    #[versions(3..)]
    #[default(i32::MIN)]
    pub authorized_operations: i32,
}

/// One of [`DescribedGroup::members`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribedGroupMember {
    pub member_id: String,
    #[versions(4..)]
    #[ignorable]
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub member_metadata: Bytes,
    pub member_assignment: Bytes,
}
