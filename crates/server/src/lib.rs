//! The shell: listeners, connections, handlers, tasks, settings. It owns the sockets, the threads
//! and the clock, and asks the core rooms for every decision.
//!
//! Called by the binary and by tests, through [`Server`].

mod broker;
mod config;
mod connection;
mod controlled;
mod coordinators;
mod directory;
mod dispatch;
mod groups;
mod handlers;
mod hosted;
mod listener;
mod partitions;
mod peer;
mod producer_ids;
mod quorum;
mod replication_quotas;
mod shard;
mod start;
mod tasks;
mod transactions;
mod watched;

pub use broker::World;
pub use config::{
    AdvertisedHost, BrokerConfig, ConfigError, Listener, QuorumConfig, Roles, Warning,
};
pub use kalda_controller::SUPPORTED_FEATURES;
pub use start::{Node, ObservedPartition, Observer, Server, StartError};
