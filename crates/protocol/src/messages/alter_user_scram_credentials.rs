//! AlterUserScramCredentials (key 51, versions 0, flexible from 0): sets and removes SCRAM
//! credentials (KIP-554).

use bytes::Bytes;

use crate::Message;

/// The credentials, salted by the client.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 51, versions = 0..=0, flexible = 0.., response = AlterUserScramCredentialsResponse)]
pub struct AlterUserScramCredentialsRequest {
    pub deletions: Vec<ScramCredentialDeletion>,
    pub upsertions: Vec<ScramCredentialUpsertion>,
}

/// One of [`AlterUserScramCredentialsRequest::deletions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ScramCredentialDeletion {
    pub name: String,
    pub mechanism: i8,
}

/// One of [`AlterUserScramCredentialsRequest::upsertions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ScramCredentialUpsertion {
    pub name: String,
    pub mechanism: i8,
    pub iterations: i32,
    pub salt: Bytes,
    pub salted_password: Bytes,
}

/// The outcome per user.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct AlterUserScramCredentialsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<AlterUserScramCredentialsResult>,
}

/// One of [`AlterUserScramCredentialsResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterUserScramCredentialsResult {
    pub user: String,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
