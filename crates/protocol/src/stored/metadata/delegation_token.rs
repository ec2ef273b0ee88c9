//! DelegationTokenRecord (metadata record 10, versions 0): a delegation token was created or
//! renewed (KIP-48, KIP-900).

use crate::Message;

/// A delegation token was created or renewed (KIP-48, KIP-900).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DelegationTokenRecord {
    pub owner: String,
    pub requester: String,
    pub renewers: Vec<String>,
    pub issue_timestamp: i64,
    pub max_timestamp: i64,
    pub expiration_timestamp: i64,
    pub token_id: String,
}
