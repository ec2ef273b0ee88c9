//! DescribeUserScramCredentials (key 50, versions 0, flexible from 0): tells which SCRAM mechanisms
//! users have (KIP-554); never their secrets.

use crate::Message;

/// The users asked about; null is all.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 50, versions = 0..=0, flexible = 0.., response = DescribeUserScramCredentialsResponse)]
pub struct DescribeUserScramCredentialsRequest {
    #[default(empty)]
    pub users: Option<Vec<UserName>>,
}

/// One of [`DescribeUserScramCredentialsRequest::users`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct UserName {
    pub name: String,
}

/// Mechanisms and iterations by user.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DescribeUserScramCredentialsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub results: Vec<DescribeUserScramCredentialsResult>,
}

/// One of [`DescribeUserScramCredentialsResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeUserScramCredentialsResult {
    pub user: String,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub credential_infos: Vec<CredentialInfo>,
}

/// One of [`DescribeUserScramCredentialsResult::credential_infos`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CredentialInfo {
    pub mechanism: i8,
    pub iterations: i32,
}
