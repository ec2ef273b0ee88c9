//! The client: one [`Client`] with producer, consumer and admin, in pure Rust.
//!
//! Called by the tools and by applications. It speaks the wire and builds batches; it never looks
//! into a broker's rooms. Configuration keys and their defaults are Kafka's. All tasks that it
//! starts end with the handle that started them.

mod backoff;
mod bootstrap;
mod client;
mod cluster;
mod connection;
mod coordinator;
mod error;
mod group_offsets;
mod metadata;
mod offsets;
mod versions;
mod world;

pub mod admin;
pub mod config;
pub mod consumer;
pub mod producer;

pub use admin::Admin;
pub use bootstrap::{HostPort, parse_servers};
pub use client::{Client, ClientBuilder};
pub use cluster::Node;
pub use config::{ConfigError, Properties};
pub use connection::Connection;
pub use consumer::{ConsumedRecord, Consumer, GroupConsumer, Seek};
pub use error::Error;
pub use group_offsets::{CommittedOffset, CommittedOffsets, ConsumerGroupMetadata};
pub use offsets::{ListedOffset, OffsetSpec};
pub use producer::{Delivery, Partitioner, Producer, Record, RecordMetadata};
pub use versions::ApiVersionTable;
pub use world::World;

/// What a client's call comes to.
pub type Result<T> = std::result::Result<T, Error>;
