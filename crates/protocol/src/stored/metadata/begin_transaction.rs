//! BeginTransactionRecord (metadata record 23, versions 0):

use crate::Message;

/// BeginTransactionRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct BeginTransactionRecord {
    #[tag(0)]
    pub name: Option<String>,
}
