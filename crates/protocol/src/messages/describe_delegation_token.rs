//! DescribeDelegationToken (key 41, versions 1–3, flexible from 2): lists delegation tokens
//! (KIP-48).
//!
//! - v2: flexible.
//! - v3: response adds `token_requester_principal_type`, `token_requester_principal_name`.

use bytes::Bytes;

use crate::Message;

/// The owners asked about; null is all.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 41, versions = 1..=3, flexible = 2.., response = DescribeDelegationTokenResponse)]
pub struct DescribeDelegationTokenRequest {
    #[default(empty)]
    pub owners: Option<Vec<DescribeDelegationTokenOwner>>,
}

/// One of [`DescribeDelegationTokenRequest::owners`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeDelegationTokenOwner {
    pub principal_type: String,
    pub principal_name: String,
}

/// The tokens.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=3, flexible = 2..)]
pub struct DescribeDelegationTokenResponse {
    pub error_code: i16,
    pub tokens: Vec<DescribedDelegationToken>,
    pub throttle_time_ms: i32,
}

/// One of [`DescribeDelegationTokenResponse::tokens`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribedDelegationToken {
    pub principal_type: String,
    pub principal_name: String,
    #[versions(3..)]
    pub token_requester_principal_type: String,
    #[versions(3..)]
    pub token_requester_principal_name: String,
    pub issue_timestamp: i64,
    pub expiry_timestamp: i64,
    pub max_timestamp: i64,
    pub token_id: String,
    pub hmac: Bytes,
    pub renewers: Vec<DescribedDelegationTokenRenewer>,
}

/// One of [`DescribedDelegationToken::renewers`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribedDelegationTokenRenewer {
    pub principal_type: String,
    pub principal_name: String,
}
