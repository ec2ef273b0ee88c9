//! The metadata quorum of this node: the pure core of `kalda-raft` with a disk, sockets and the
//! controller around it.
//!
//! One loop owns all of it ([`driver`]); everybody else speaks to it through [`QuorumHandle`] and
//! [`ControllerHandle`]. A node alone is a quorum of one.

mod active;
mod addresses;
mod driver;
mod duties;
pub(crate) mod handle;
mod shared_log;
mod snapshots;
pub(crate) mod wire;

pub(crate) use driver::{QuorumLoop, QuorumParts};
pub(crate) use handle::{Asked, ControllerHandle, Decided, Description, QuorumHandle, Unavailable};
pub(crate) use shared_log::SharedMetadataLog;
