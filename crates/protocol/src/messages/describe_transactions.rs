//! DescribeTransactions (key 65, versions 0, flexible from 0): shows the state of transactions
//! (KIP-664).

use crate::Message;

/// The transactional ids asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 65, versions = 0..=0, flexible = 0.., response = DescribeTransactionsResponse)]
pub struct DescribeTransactionsRequest {
    pub transactional_ids: Vec<String>,
}

/// Their states and partitions.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DescribeTransactionsResponse {
    pub throttle_time_ms: i32,
    pub transaction_states: Vec<TransactionState>,
}

/// One of [`DescribeTransactionsResponse::transaction_states`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TransactionState {
    pub error_code: i16,
    pub transactional_id: String,
    pub transaction_state: String,
    pub transaction_timeout_ms: i32,
    pub transaction_start_time_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub topics: Vec<TopicData>,
}

/// One of [`TransactionState::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicData {
    pub topic: String,
    pub partitions: Vec<i32>,
}
