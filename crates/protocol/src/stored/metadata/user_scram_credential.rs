//! UserScramCredentialRecord (metadata record 11, versions 0): a SCRAM credential was set (KIP-554,
//! KIP-900).

use bytes::Bytes;

use crate::Message;

/// A SCRAM credential was set (KIP-554, KIP-900).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct UserScramCredentialRecord {
    pub name: String,
    pub mechanism: i8,
    pub salt: Bytes,
    pub stored_key: Bytes,
    pub server_key: Bytes,
    pub iterations: i32,
}
