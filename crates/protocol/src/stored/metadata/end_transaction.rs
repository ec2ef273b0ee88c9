//! EndTransactionRecord (metadata record 24, versions 0):

use crate::Message;

/// EndTransactionRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct EndTransactionRecord {}
