//! AddOffsetsToTxn (key 25, versions 0–4, flexible from 3): adds the offsets of a group to a
//! transaction (KIP-98).
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: same layout; may answer PRODUCER_FENCED (KIP-588).
//! - v3: flexible.
//! - v4: same layout; may answer TRANSACTION_ABORTABLE (KIP-890).

use crate::Message;

/// The group whose offsets will be committed.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 25, versions = 0..=4, flexible = 3.., response = AddOffsetsToTxnResponse)]
pub struct AddOffsetsToTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub group_id: String,
}

/// An error code.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 3..)]
pub struct AddOffsetsToTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
