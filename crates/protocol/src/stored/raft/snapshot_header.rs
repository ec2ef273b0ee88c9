//! SnapshotHeaderRecord (versions 0, flexible from 0):

use crate::Message;

/// SnapshotHeaderRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct SnapshotHeaderRecord {
    pub version: i16,
    pub last_contained_log_timestamp: i64,
}
