//! EndTransactionRecord (metadata record 24, versions 0): what was held back counts now (KIP-868).

use crate::Message;

/// What was held back counts now (KIP-868).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct EndTransactionRecord {}
