//! SaslHandshake (key 17, versions 0–1, never flexible):
//!
//! - v1: no change of layout.

use crate::Message;

/// Asks for SaslHandshake.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 17, versions = 0..=1, response = SaslHandshakeResponse)]
pub struct SaslHandshakeRequest {
    pub mechanism: String,
}

/// Answers [`SaslHandshakeRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1)]
pub struct SaslHandshakeResponse {
    pub error_code: i16,
    pub mechanisms: Vec<String>,
}
