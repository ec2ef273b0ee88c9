//! AddPartitionsToTxn (key 24, versions 0–5, flexible from 3): adds partitions to a transaction;
//! from version 4 on brokers use it to verify that they are in one (KIP-890).
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: same layout; may answer PRODUCER_FENCED (KIP-588).
//! - v3: flexible.
//! - v4: request adds `transactions` and drops `v3_and_below_transactional_id`,
//!   `v3_and_below_producer_id`, `v3_and_below_producer_epoch`, `v3_and_below_topics`; response
//!   adds `error_code`, `results_by_transaction` and drops `results_by_topic_v3_and_below`.
//! - v5: same layout; may answer TRANSACTION_ABORTABLE (KIP-890).

use crate::Message;

/// The partitions, from version 4 on of several transactions.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 24, versions = 0..=5, flexible = 3.., response = AddPartitionsToTxnResponse)]
pub struct AddPartitionsToTxnRequest {
    #[versions(4..)]
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    #[versions(0..=3)]
    pub v3_and_below_transactional_id: String,
    #[versions(0..=3)]
    pub v3_and_below_producer_id: i64,
    #[versions(0..=3)]
    pub v3_and_below_producer_epoch: i16,
    #[versions(0..=3)]
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

/// One of [`AddPartitionsToTxnRequest::transactions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AddPartitionsToTxnTransaction {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub verify_only: bool,
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

/// One of [`AddPartitionsToTxnTransaction::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AddPartitionsToTxnTopic {
    pub name: String,
    pub partitions: Vec<i32>,
}

/// One error code per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=5, flexible = 3..)]
pub struct AddPartitionsToTxnResponse {
    pub throttle_time_ms: i32,
    #[versions(4..)]
    #[ignorable]
    pub error_code: i16,
    #[versions(4..)]
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    #[versions(0..=3)]
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

/// One of [`AddPartitionsToTxnResponse::results_by_transaction`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AddPartitionsToTxnResult {
    pub transactional_id: String,
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

/// One of [`AddPartitionsToTxnResult::topic_results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AddPartitionsToTxnTopicResult {
    pub name: String,
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

/// One of [`AddPartitionsToTxnTopicResult::results_by_partition`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AddPartitionsToTxnPartitionResult {
    pub partition_index: i32,
    pub partition_error_code: i16,
}
