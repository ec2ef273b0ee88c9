//! SnapshotFooterRecord (versions 0, flexible from 0):

use crate::Message;

/// SnapshotFooterRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct SnapshotFooterRecord {
    pub version: i16,
}
