//! InitProducerId (key 22, versions 0–6, flexible from 2):
//! Version 6 is not stable in Kafka 4.1 and is not offered unless asked for.
//!
//! - v1: no change of layout.
//! - v2: flexible.
//! - v3: request adds `producer_id`, `producer_epoch`.
//! - v4: no change of layout (KIP-890).
//! - v5: no change of layout (KIP-890).
//! - v6: request adds `enable2_pc`, `keep_prepared_txn`; response adds `ongoing_txn_producer_id`,
//!   `ongoing_txn_producer_epoch` (KIP-939).

use crate::Message;

/// Asks for InitProducerId.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 22, versions = 0..=6, flexible = 2.., response = InitProducerIdResponse)]
pub struct InitProducerIdRequest {
    #[default(empty)]
    pub transactional_id: Option<String>,
    pub transaction_timeout_ms: i32,
    #[versions(3..)]
    #[default(-1)]
    pub producer_id: i64,
    #[versions(3..)]
    #[default(-1)]
    pub producer_epoch: i16,
    #[versions(6..)]
    pub enable2_pc: bool,
    #[versions(6..)]
    pub keep_prepared_txn: bool,
}

/// Answers [`InitProducerIdRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=6, flexible = 2..)]
pub struct InitProducerIdResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(-1)]
    pub producer_id: i64,
    pub producer_epoch: i16,
    #[versions(6..)]
    #[default(-1)]
    pub ongoing_txn_producer_id: i64,
    #[versions(6..)]
    #[default(-1)]
    pub ongoing_txn_producer_epoch: i16,
}
