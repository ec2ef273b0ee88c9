//! RemoveDelegationTokenRecord (metadata record 26, versions 0):

use crate::Message;

/// RemoveDelegationTokenRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveDelegationTokenRecord {
    pub token_id: String,
}
