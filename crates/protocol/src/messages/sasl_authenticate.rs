//! SaslAuthenticate (key 36, versions 0–2, flexible from 2):
//!
//! - v1: response adds `session_lifetime_ms`.
//! - v2: flexible.

use bytes::Bytes;

use crate::Message;

/// Asks for SaslAuthenticate.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 36, versions = 0..=2, flexible = 2.., response = SaslAuthenticateResponse)]
pub struct SaslAuthenticateRequest {
    pub auth_bytes: Bytes,
}

/// Answers [`SaslAuthenticateRequest`].
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
