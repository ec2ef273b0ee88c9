//! BeginTransactionRecord (metadata record 23, versions 0): what follows counts once the
//! transaction ends (KIP-868).

use crate::Message;

/// What follows counts once the transaction ends (KIP-868).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct BeginTransactionRecord {
    #[tag(0)]
    pub name: Option<String>,
}
