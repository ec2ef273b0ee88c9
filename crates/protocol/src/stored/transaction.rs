//! The records of `__transaction_state`, and the marker that ends a transaction in a partition's log.
//!
//! Written and replayed by the transaction coordinator; the marker by the leaders of partitions.

pub mod end_txn_marker;
pub mod transaction_log;

use crate::stored::coordinator_keys;

pub use end_txn_marker::EndTxnMarker;
pub use transaction_log::{TransactionLogKey, TransactionLogValue};

coordinator_keys! {
    "transaction",
    /// The key of a record of `__transaction_state`, which says what the value is.
    pub enum TransactionKey {
        TransactionLog(TransactionLogKey),
    }
}
