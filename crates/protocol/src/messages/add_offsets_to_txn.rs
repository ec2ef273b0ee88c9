//! AddOffsetsToTxn (key 25, versions 0–4, flexible from 3):
//!
//! - v1–2: no change of layout.
//! - v3: flexible.
//! - v4: no change of layout (KIP-890).

use crate::Message;

/// Asks for AddOffsetsToTxn.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 25, versions = 0..=4, flexible = 3.., response = AddOffsetsToTxnResponse)]
pub struct AddOffsetsToTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub group_id: String,
}

/// Answers [`AddOffsetsToTxnRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 3..)]
pub struct AddOffsetsToTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
