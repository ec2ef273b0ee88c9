//! InitProducerId (key 22, versions 0–6, flexible from 2): hands a producer its id and epoch, and
//! fences its predecessor with the same transactional id (KIP-98).
//!
//! Version 6 is not stable in Kafka 4.1, to be offered only where unstable versions are enabled.
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: flexible.
//! - v3: request adds `producer_id`, `producer_epoch`.
//! - v4: same layout; may answer PRODUCER_FENCED (KIP-588) (KIP-890).
//! - v5: same layout; may answer TRANSACTION_ABORTABLE (KIP-890).
//! - v6: request adds `enable2_pc`, `keep_prepared_txn`; response adds `ongoing_txn_producer_id`,
//!   `ongoing_txn_producer_epoch` (KIP-939).

use crate::Message;

/// The transactional id, or null for idempotence alone.
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

/// The producer id and epoch.
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
