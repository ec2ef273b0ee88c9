//! SnapshotHeaderRecord (versions 0, flexible from 0): the opening of a snapshot (KIP-630).

use crate::Message;

/// The opening of a snapshot (KIP-630).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct SnapshotHeaderRecord {
    pub version: i16,
    pub last_contained_log_timestamp: i64,
}
