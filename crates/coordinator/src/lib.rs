//! Coordinators whose state is a function of their log: of groups, and of transactions.
//!
//! The server runs one [`GroupShard`] per partition of `__consumer_offsets` that it leads, and one
//! [`TransactionShard`] per partition of `__transaction_state`. To both it is the caller of the
//! [`Coordinator`] contract: it feeds requests and the passing of time in, appends the records that
//! come out, replays them, and gives the answers once they are committed. Nothing here reads a clock, draws a random number, performs
//! IO or waits.

mod classic;
mod consumer;
mod contract;
mod decision;
mod group_contract;
mod handle;
mod migration;
mod offsets;
mod partitioner;
mod records;
mod request;
mod settings;
mod shard;
#[cfg(test)]
mod tests;
mod transaction;

pub use contract::{Coordinator, coordinator_error};
pub use decision::{
    Context, CoordinatorRecord, Decision, Token, TopicPartitions, TransactionEnding,
};
pub use partitioner::partition_for;
pub use records::ReplayError;
pub use request::{Caller, GroupRequest, GroupResponse};
pub use settings::{GroupSettings, MigrationPolicy};
pub use shard::GroupShard;
pub use transaction::{
    AddPartitions, TransactionRequest, TransactionResponse, TransactionSettings, TransactionShard,
};
