//! SaslAuthenticate (key 36, versions 0–2, flexible from 2): carries the tokens of a SASL exchange
//! (KIP-152), again and again where sessions expire (KIP-368).
//!
//! - v1: response adds `session_lifetime_ms`.
//! - v2: flexible.

use bytes::Bytes;

use crate::Message;

/// A token of the client.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 36, versions = 0..=2, flexible = 2.., response = SaslAuthenticateResponse)]
pub struct SaslAuthenticateRequest {
    pub auth_bytes: Bytes,
}

/// A token of the server.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 2..)]
pub struct SaslAuthenticateResponse {
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub auth_bytes: Bytes,
    #[versions(1..)]
    #[ignorable]
    pub session_lifetime_ms: i64,
}
