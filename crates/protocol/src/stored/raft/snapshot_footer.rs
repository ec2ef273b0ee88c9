//! SnapshotFooterRecord (versions 0, flexible from 0): the end of a snapshot, without which it is
//! incomplete (KIP-630).

use crate::Message;

/// The end of a snapshot, without which it is incomplete (KIP-630).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct SnapshotFooterRecord {
    pub version: i16,
}
