//! What consumers of the classic protocol tell each other through JoinGroup and SyncGroup.
//!
//! To the broker these are blobs; the client's assignors and tools that describe groups read them.
//! Each is prefixed with its version: see [`decode_versioned`](super::decode_versioned).

pub mod assignment;
pub mod subscription;

pub use assignment::ConsumerProtocolAssignment;
pub use subscription::ConsumerProtocolSubscription;
