//! EndTxn (key 26, versions 0–5, flexible from 3): commits or aborts a transaction (KIP-98).
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: same layout; may answer PRODUCER_FENCED (KIP-588).
//! - v3: flexible.
//! - v4: same layout; may answer TRANSACTION_ABORTABLE (KIP-890).
//! - v5: response adds `producer_id`, `producer_epoch` (KIP-890).

use crate::Message;

/// The transaction and its outcome.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 26, versions = 0..=5, flexible = 3.., response = EndTxnResponse)]
pub struct EndTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub committed: bool,
}

/// An error code; from version 5 on the next producer id and epoch.
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
