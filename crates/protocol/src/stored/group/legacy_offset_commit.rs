//! LegacyOffsetCommit (record type 0, value versions 0, never flexible):

use crate::Message;

/// The key of a LegacyOffsetCommit record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 0, versions = 0..=0)]
pub struct LegacyOffsetCommitKey {
    pub group: String,
    pub topic: String,
    pub partition: i32,
}

/// The value of a LegacyOffsetCommit record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0)]
pub struct LegacyOffsetCommitValue {
    pub offset: i64,
    pub metadata: String,
    pub commit_timestamp: i64,
}
