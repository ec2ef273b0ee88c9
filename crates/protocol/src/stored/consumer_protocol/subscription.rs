//! ConsumerProtocolSubscription (versions 0–3, never flexible): what a consumer wants to read and
//! what it owns, for the leader of its group. Version 1 brought cooperative rebalancing (KIP-429),
//! 2 the generation, 3 the rack (KIP-881).
//!
//! - v1: adds `owned_partitions`.
//! - v2: adds `generation_id`.
//! - v3: adds `rack_id`.

use bytes::Bytes;

use crate::Message;

/// What a consumer wants to read and what it owns, for the leader of its group. Version 1 brought
/// cooperative rebalancing (KIP-429), 2 the generation, 3 the rack (KIP-881).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=3)]
pub struct ConsumerProtocolSubscription {
    pub topics: Vec<String>,
    pub user_data: Option<Bytes>,
    #[versions(1..)]
    #[ignorable]
    pub owned_partitions: Vec<TopicPartition>,
    #[versions(2..)]
    #[default(-1)]
    #[ignorable]
    pub generation_id: i32,
    #[versions(3..)]
    #[ignorable]
    pub rack_id: Option<String>,
}

/// One of [`ConsumerProtocolSubscription::owned_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartition {
    pub topic: String,
    pub partitions: Vec<i32>,
}
