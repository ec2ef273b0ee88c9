//! A partition as one of its replicas sees it: who leads, who is in sync, what is durable, what
//! may be read, what is fetched next.
//!
//! Pure: the server tells it of metadata, appends, flushes, fetches and time, and acts on the [`Effects`].
//! It owns no log and no waiter; it must never decide anything from a clock of its own.
//!
//! Files by concern: `partition` (the state, and what both roles share), `leader` (the high watermark
//! over all replicas, their fetches), `remote` (one of them as the leader knows it), `isr` (changes of the ISR,
//! AlterPartition), `follower` (what an answer of the leader means), `nearest` (KIP-392), `quota` (KIP-73).

mod effects;
mod follower;
mod isr;
mod leader;
mod nearest;
mod partition;
mod quota;
mod remote;

pub use effects::{Effects, NewRole, Refused};
pub use follower::{CommittedAtRisk, FetchPosition, NextStep, OutOfRange};
pub use isr::{AlterAnswer, AlterRefused, Proposal};
pub use leader::{BrokerState, Brokers, ReplicaFetch};
pub use nearest::Reader;
pub use partition::{Acks, Durability, Metadata, Partition, Settings};
pub use quota::{QuotaWindow, ReplicationQuota, ThrottledReplicas};
