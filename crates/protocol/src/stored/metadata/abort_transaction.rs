//! AbortTransactionRecord (metadata record 25, versions 0): what was held back never counts
//! (KIP-868).

use crate::Message;

/// What was held back never counts (KIP-868).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct AbortTransactionRecord {
    #[tag(0)]
    pub reason: Option<String>,
}
