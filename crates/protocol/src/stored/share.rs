//! The records of `__share_group_state`: what share groups (KIP-932) did with each partition.
//!
//! Written and replayed by the share coordinator.

pub mod share_snapshot;
pub mod share_update;

use crate::stored::coordinator_keys;

pub use share_snapshot::{ShareSnapshotKey, ShareSnapshotValue};
pub use share_update::{ShareUpdateKey, ShareUpdateValue};

coordinator_keys! {
    "share",
    /// The key of a record of `__share_group_state`, which says what the value is.
    pub enum ShareKey {
        ShareSnapshot(ShareSnapshotKey),
        ShareUpdate(ShareUpdateKey),
    }
}
