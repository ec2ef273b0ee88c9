//! RenewDelegationToken (key 39, versions 1–2, flexible from 2): extends the life of a delegation
//! token (KIP-48).
//!
//! - v2: flexible.

use bytes::Bytes;

use crate::Message;

/// The token and for how long.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 39, versions = 1..=2, flexible = 2.., response = RenewDelegationTokenResponse)]
pub struct RenewDelegationTokenRequest {
    pub hmac: Bytes,
    pub renew_period_ms: i64,
}

/// The new time of expiry.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=2, flexible = 2..)]
pub struct RenewDelegationTokenResponse {
    pub error_code: i16,
    pub expiry_timestamp_ms: i64,
    pub throttle_time_ms: i32,
}
