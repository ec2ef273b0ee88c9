//! A partition as one of its replicas sees it: who leads, who is in sync, what is durable, what
//! may be read.
//!
//! Pure: the server tells it of metadata, appends and flushes, and acts on the [`Effects`]. It owns
//! no log and no waiter; it must never decide anything from a clock of its own.

mod partition;

pub use partition::{Acks, Durability, Effects, Partition, Refused};
