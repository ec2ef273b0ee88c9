//! KRaftVersionRecord (versions 0, flexible from 0): the finalized `kraft.version` (KIP-853).

use crate::Message;

/// The finalized `kraft.version` (KIP-853).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct KRaftVersionRecord {
    pub version: i16,
    pub kraft_version: i16,
}
