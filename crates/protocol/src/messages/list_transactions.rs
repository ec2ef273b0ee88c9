//! ListTransactions (key 66, versions 0–2, flexible from 0): lists transactions that match filters
//! (KIP-664).
//!
//! - v1: request adds `duration_filter` (KIP-994, KIP-1152).
//! - v2: request adds `transactional_id_pattern` (KIP-1152).

use crate::Message;

/// The filters.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 66, versions = 0..=2, flexible = 0.., response = ListTransactionsResponse)]
pub struct ListTransactionsRequest {
    pub state_filters: Vec<String>,
    pub producer_id_filters: Vec<i64>,
    #[versions(1..)]
    #[default(-1)]
    pub duration_filter: i64,
    #[versions(2..)]
    pub transactional_id_pattern: Option<String>,
}

/// The transactions that match.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 0..)]
pub struct ListTransactionsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub unknown_state_filters: Vec<String>,
    pub transaction_states: Vec<TransactionState>,
}

/// One of [`ListTransactionsResponse::transaction_states`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TransactionState {
    pub transactional_id: String,
    pub producer_id: i64,
    pub transaction_state: String,
}
