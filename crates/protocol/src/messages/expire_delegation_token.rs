//! ExpireDelegationToken (key 40, versions 1–2, flexible from 2): shortens the life of a delegation
//! token, or ends it (KIP-48).
//!
//! - v2: flexible.

use bytes::Bytes;

use crate::Message;

/// The token and until when.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 40, versions = 1..=2, flexible = 2.., response = ExpireDelegationTokenResponse)]
pub struct ExpireDelegationTokenRequest {
    pub hmac: Bytes,
    pub expiry_time_period_ms: i64,
}

/// The new time of expiry.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=2, flexible = 2..)]
pub struct ExpireDelegationTokenResponse {
    pub error_code: i16,
    pub expiry_timestamp_ms: i64,
    pub throttle_time_ms: i32,
}
