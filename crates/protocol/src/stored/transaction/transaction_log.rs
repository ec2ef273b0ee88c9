//! TransactionLog (record type 0, value versions 0–1, flexible from 1): the state of a
//! transactional id. Version 1 is written from transaction version 1 on (KIP-890).
//!
//! - v1: adds `previous_producer_id`, `next_producer_id`, `next_producer_epoch`,
//!   `client_transaction_version`; flexible (KIP-915).

use crate::Message;

/// The key of a TransactionLog record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 0, versions = 0..=0)]
pub struct TransactionLogKey {
    pub transactional_id: String,
}

/// The state of a transactional id. Version 1 is written from transaction version 1 on (KIP-890).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 1..)]
pub struct TransactionLogValue {
    pub producer_id: i64,
    #[tag(0)]
    #[versions(1..)]
    #[default(-1)]
    pub previous_producer_id: i64,
    #[tag(1)]
    #[versions(1..)]
    #[default(-1)]
    pub next_producer_id: i64,
    pub producer_epoch: i16,
    #[tag(3)]
    #[versions(1..)]
    #[default(-1)]
    pub next_producer_epoch: i16,
    pub transaction_timeout_ms: i32,
    pub transaction_status: i8,
    #[default(empty)]
    pub transaction_partitions: Option<Vec<PartitionsSchema>>,
    pub transaction_last_update_timestamp_ms: i64,
    pub transaction_start_timestamp_ms: i64,
    #[tag(2)]
    #[versions(1..)]
    pub client_transaction_version: i16,
}

/// One of [`TransactionLogValue::transaction_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionsSchema {
    pub topic: String,
    pub partition_ids: Vec<i32>,
}
