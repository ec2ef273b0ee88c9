//! LegacyOffsetCommit (record type 0, value versions 0, never flexible): a committed offset under
//! the oldest form of its key, read but no longer written.

use crate::Message;

/// The key of a LegacyOffsetCommit record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 0, versions = 0..=0)]
pub struct LegacyOffsetCommitKey {
    pub group: String,
    pub topic: String,
    pub partition: i32,
}

/// A committed offset under the oldest form of its key, read but no longer written.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0)]
pub struct LegacyOffsetCommitValue {
    pub offset: i64,
    pub metadata: String,
    pub commit_timestamp: i64,
}
