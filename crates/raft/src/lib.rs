//! The KRaft quorum and the metadata log that it replicates (KIP-595, KIP-630).
//!
//! Called by the server's quorum loop: [`quorum`] decides, purely; [`MetadataLog`] does to the disk
//! what it decides. Nothing here interprets a metadata record, owns a socket or reads a clock. A node
//! alone is a quorum of one voter.

mod bootstrap;
mod log;
pub mod quorum;
mod quorum_state;
mod snapshot;

pub use bootstrap::{read_bootstrap, write_bootstrap};
pub use log::{
    CarryOutError, Committed, MetadataLog, OpenError, Opening, Outcome, SnapshotJob,
    decision_batches, decode_batches, format,
};
pub use quorum_state::{QuorumState, QuorumStateError};
pub use snapshot::SnapshotId;
