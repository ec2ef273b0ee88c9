//! ClearElrRecord (metadata record 28, versions 0): the eligible leader replicas of a topic, or of
//! all, were cleared (KIP-966).

use crate::Message;

/// The eligible leader replicas of a topic, or of all, were cleared (KIP-966).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ClearElrRecord {
    pub topic_name: String,
}
