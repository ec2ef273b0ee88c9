//! GroupMetadata (record type 2, value versions 0–4, flexible from 4): a classic group with its
//! members and their assignments.
//!
//! - v1: adds `rebalance_timeout`.
//! - v2: adds `current_state_timestamp`.
//! - v3: adds `group_instance_id`.
//! - v4: flexible (KIP-915).

use bytes::Bytes;

use crate::Message;

/// The key of a GroupMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 2, versions = 0..=0)]
pub struct GroupMetadataKey {
    pub group: String,
}

/// A classic group with its members and their assignments.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 4..)]
pub struct GroupMetadataValue {
    pub protocol_type: String,
    pub generation: i32,
    #[default(empty)]
    pub protocol: Option<String>,
    #[default(empty)]
    pub leader: Option<String>,
    #[versions(2..)]
    #[default(-1)]
    #[ignorable]
    pub current_state_timestamp: i64,
    pub members: Vec<MemberMetadata>,
}

/// One of [`GroupMetadataValue::members`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct MemberMetadata {
    pub member_id: String,
    #[versions(3..)]
    #[ignorable]
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub rebalance_timeout: i32,
    pub session_timeout: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}
