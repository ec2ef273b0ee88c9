//! RemoveDelegationTokenRecord (metadata record 26, versions 0): a delegation token was removed.

use crate::Message;

/// A delegation token was removed.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveDelegationTokenRecord {
    pub token_id: String,
}
