//! OffsetCommit (record type 1, value versions 0–4, flexible from 4): a committed offset. Version 1
//! is written where the commit carries its own expiry.
//!
//! - v1: adds `expire_timestamp`.
//! - v2: drops `expire_timestamp`.
//! - v3: adds `leader_epoch`.
//! - v4: adds `topic_id`; same layout; the broker answers before it throttles (KIP-219); flexible
//!   (KIP-915).

use kalda_model::Uuid;

use crate::Message;

/// The key of a OffsetCommit record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 1, versions = 0..=0)]
pub struct OffsetCommitKey {
    pub group: String,
    pub topic: String,
    pub partition: i32,
}

/// A committed offset. Version 1 is written where the commit carries its own expiry.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 4..)]
pub struct OffsetCommitValue {
    pub offset: i64,
    #[versions(3..)]
    #[default(-1)]
    #[ignorable]
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_timestamp: i64,
    #[versions(1)]
    #[default(-1)]
    #[ignorable]
    pub expire_timestamp: i64,
    #[tag(0)]
    #[versions(4..)]
    #[ignorable]
    pub topic_id: Uuid,
}
