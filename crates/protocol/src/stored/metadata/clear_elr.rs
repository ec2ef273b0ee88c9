//! ClearElrRecord (metadata record 28, versions 0):

use crate::Message;

/// ClearElrRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ClearElrRecord {
    pub topic_name: String,
}
