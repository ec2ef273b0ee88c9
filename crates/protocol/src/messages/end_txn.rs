//! EndTxn (key 26, versions 0–5, flexible from 3):
//!
//! - v1–2: no change of layout.
//! - v3: flexible.
//! - v4: no change of layout (KIP-890).
//! - v5: response adds `producer_id`, `producer_epoch` (KIP-890).

use crate::Message;

/// Asks for EndTxn.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 26, versions = 0..=5, flexible = 3.., response = EndTxnResponse)]
pub struct EndTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub committed: bool,
}

/// Answers [`EndTxnRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=5, flexible = 3..)]
pub struct EndTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[versions(5..)]
    #[default(-1)]
    #[ignorable]
    pub producer_id: i64,
    #[versions(5..)]
    #[default(-1)]
    #[ignorable]
    pub producer_epoch: i16,
}
