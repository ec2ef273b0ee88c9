//! AlterPartitionReassignments (key 45, versions 0–1, flexible from 0): moves partitions to other
//! brokers, or cancels a move (KIP-455).
//!
//! - v1: request adds `allow_replication_factor_change`; response adds
//!   `allow_replication_factor_change`.

use crate::Message;

/// The target replicas; null cancels.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 45, versions = 0..=1, flexible = 0.., response = AlterPartitionReassignmentsResponse)]
pub struct AlterPartitionReassignmentsRequest {
    #[default(60000)]
    pub timeout_ms: i32,
    #[versions(1..)]
    #[default(true)]
    pub allow_replication_factor_change: bool,
    pub topics: Vec<ReassignableTopic>,
}

/// One of [`AlterPartitionReassignmentsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReassignableTopic {
    pub name: String,
    pub partitions: Vec<ReassignablePartition>,
}

/// One of [`ReassignableTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReassignablePartition {
    pub partition_index: i32,
    pub replicas: Option<Vec<i32>>,
}

/// The outcome per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 0..)]
pub struct AlterPartitionReassignmentsResponse {
    pub throttle_time_ms: i32,
    #[versions(1..)]
    #[default(true)]
    #[ignorable]
    pub allow_replication_factor_change: bool,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub responses: Vec<ReassignableTopicResponse>,
}

/// One of [`AlterPartitionReassignmentsResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReassignableTopicResponse {
    pub name: String,
    pub partitions: Vec<ReassignablePartitionResponse>,
}

/// One of [`ReassignableTopicResponse::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReassignablePartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
