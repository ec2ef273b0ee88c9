//! Coordinators whose state is a function of their log; so far the group coordinator.
//!
//! The server runs one [`GroupShard`] per partition of `__consumer_offsets` that it leads: it feeds
//! requests and the passing of time in, appends the records that come out, replays them, and gives
//! the answers once they are committed. Nothing here reads a clock, draws a random number, performs
//! IO or waits.

mod classic;
mod consumer;
mod decision;
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

pub use decision::{Context, CoordinatorRecord, Decision, Token};
pub use partitioner::partition_for;
pub use records::ReplayError;
pub use request::{Caller, GroupRequest, GroupResponse};
pub use settings::{GroupSettings, MigrationPolicy};
pub use shard::GroupShard;
