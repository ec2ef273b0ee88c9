//! AbortTransactionRecord (metadata record 25, versions 0):

use crate::Message;

/// AbortTransactionRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct AbortTransactionRecord {
    #[tag(0)]
    pub reason: Option<String>,
}
