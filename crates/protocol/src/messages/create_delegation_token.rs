//! CreateDelegationToken (key 38, versions 1–3, flexible from 2): creates a delegation token
//! (KIP-48).
//!
//! - v2: flexible.
//! - v3: request adds `owner_principal_type`, `owner_principal_name`; response adds
//!   `token_requester_principal_type`, `token_requester_principal_name`.

use bytes::Bytes;

use crate::Message;

/// Owner, renewers and lifetime.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 38, versions = 1..=3, flexible = 2.., response = CreateDelegationTokenResponse)]
pub struct CreateDelegationTokenRequest {
    #[versions(3..)]
    #[default(empty)]
    pub owner_principal_type: Option<String>,
    #[versions(3..)]
    #[default(empty)]
    pub owner_principal_name: Option<String>,
    pub renewers: Vec<CreatableRenewers>,
    pub max_lifetime_ms: i64,
}

/// One of [`CreateDelegationTokenRequest::renewers`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatableRenewers {
    pub principal_type: String,
    pub principal_name: String,
}

/// The token with its secret.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=3, flexible = 2..)]
pub struct CreateDelegationTokenResponse {
    pub error_code: i16,
    pub principal_type: String,
    pub principal_name: String,
    #[versions(3..)]
    pub token_requester_principal_type: String,
    #[versions(3..)]
    pub token_requester_principal_name: String,
    pub issue_timestamp_ms: i64,
    pub expiry_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub token_id: String,
    pub hmac: Bytes,
    pub throttle_time_ms: i32,
}
