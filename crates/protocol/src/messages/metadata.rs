//! Metadata (key 3, versions 0–13, flexible from 9): tells which brokers there are and who leads
//! which partition; may create topics on the way. An empty topic list means all in version 0;
//! later, null means all.
//!
//! - v1: request allows null `topics`; response adds `rack`, `controller_id`, `is_internal`.
//! - v2: response adds `cluster_id`.
//! - v3: response adds `throttle_time_ms`.
//! - v4: request adds `allow_auto_topic_creation`.
//! - v5: response adds `offline_replicas`.
//! - v6: same layout; the broker answers before it throttles (KIP-219).
//! - v7: response adds `leader_epoch`.
//! - v8: request adds `include_cluster_authorized_operations`,
//!   `include_topic_authorized_operations`; response adds `topic_authorized_operations`,
//!   `cluster_authorized_operations`.
//! - v9: flexible.
//! - v10: request adds `topic_id` and allows null `name`; response adds `topic_id`.
//! - v11: request drops `include_cluster_authorized_operations`; response drops
//!   `cluster_authorized_operations` (KIP-700).
//! - v12: response allows null `name`; topics may be asked for by id (KIP-516).
//! - v13: response adds `error_code`.

use kalda_model::Uuid;

use crate::Message;

/// The topics asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 3, versions = 0..=13, flexible = 9.., response = MetadataResponse)]
pub struct MetadataRequest {
    #[nullable(1..)]
    #[default(empty)]
    pub topics: Option<Vec<MetadataRequestTopic>>,
    #[versions(4..)]
    #[default(true)]
    pub allow_auto_topic_creation: bool,
    #[versions(8..=10)]
    pub include_cluster_authorized_operations: bool,
    #[versions(8..)]
    pub include_topic_authorized_operations: bool,
}

/// One of [`MetadataRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct MetadataRequestTopic {
    #[versions(10..)]
    #[ignorable]
    pub topic_id: Uuid,
    #[nullable(10..)]
    #[default(empty)]
    pub name: Option<String>,
}

/// Brokers, controller and the topics with their partitions.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=13, flexible = 9..)]
pub struct MetadataResponse {
    #[versions(3..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker>,
    #[versions(2..)]
    #[ignorable]
    pub cluster_id: Option<String>,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic>,
    #[versions(8..=10)]
    #[default(i32::MIN)]
    pub cluster_authorized_operations: i32,
    #[versions(13..)]
    #[ignorable]
    pub error_code: i16,
}

/// One of [`MetadataResponse::brokers`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct MetadataResponseBroker {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    #[versions(1..)]
    #[ignorable]
    pub rack: Option<String>,
}

/// One of [`MetadataResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct MetadataResponseTopic {
    pub error_code: i16,
    #[nullable(12..)]
    #[default(empty)]
    pub name: Option<String>,
    #[versions(10..)]
    #[ignorable]
    pub topic_id: Uuid,
    #[versions(1..)]
    #[ignorable]
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    #[versions(8..)]
    #[default(i32::MIN)]
    pub topic_authorized_operations: i32,
}

/// One of [`MetadataResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct MetadataResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    #[versions(7..)]
    #[default(-1)]
    #[ignorable]
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    #[versions(5..)]
    #[ignorable]
    pub offline_replicas: Vec<i32>,
}
