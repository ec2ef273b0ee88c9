//! The KRaft quorum and the metadata log that it replicates (KIP-595, KIP-630).
//!
//! Called by the server's controller loop. Today the quorum has one voter, which elects itself at
//! every start; the log, its snapshots and `quorum-state` have Kafka's form already, so that more
//! voters and observers can join. Nothing here interprets a metadata record. [`quorum`] decides for
//! quorums of any size; it is not driven by the server yet.

mod log;
pub mod quorum;
mod quorum_state;
mod snapshot;

pub use log::{MetadataLog, OpenError, Opening, Replay};
pub use quorum_state::{QuorumState, QuorumStateError};
pub use snapshot::SnapshotId;
