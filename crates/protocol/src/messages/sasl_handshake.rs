//! SaslHandshake (key 17, versions 0–1, never flexible): chooses the SASL mechanism. After version
//! 0 the exchange follows in bare frames, after version 1 in SaslAuthenticate (KIP-152). The
//! version cannot grow: old clients would trip over it (KAFKA-9577).
//!
//! - v1: same layout; SaslAuthenticate follows.

use crate::Message;

/// The mechanism wanted.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 17, versions = 0..=1, response = SaslHandshakeResponse)]
pub struct SaslHandshakeRequest {
    pub mechanism: String,
}

/// The mechanisms on offer.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1)]
pub struct SaslHandshakeResponse {
    pub error_code: i16,
    pub mechanisms: Vec<String>,
}
