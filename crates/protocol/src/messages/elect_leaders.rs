//! ElectLeaders (key 43, versions 0–2, flexible from 2): elects preferred leaders, or unclean ones
//! where nobody in sync is left (KIP-183, KIP-460).
//!
//! - v1: request adds `election_type`; response adds `error_code` (KIP-460).
//! - v2: flexible.

use crate::Message;

/// The kind of election and the partitions; null is all.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 43, versions = 0..=2, flexible = 2.., response = ElectLeadersResponse)]
pub struct ElectLeadersRequest {
    #[versions(1..)]
    pub election_type: i8,
    #[default(empty)]
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    #[default(60000)]
    pub timeout_ms: i32,
}

/// One of [`ElectLeadersRequest::topic_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartitions {
    pub topic: String,
    pub partitions: Vec<i32>,
}

/// The outcome per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 2..)]
pub struct ElectLeadersResponse {
    pub throttle_time_ms: i32,
    #[versions(1..)]
    pub error_code: i16,
    pub replica_election_results: Vec<ReplicaElectionResult>,
}

/// One of [`ElectLeadersResponse::replica_election_results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReplicaElectionResult {
    pub topic: String,
    pub partition_result: Vec<PartitionResult>,
}

/// One of [`ReplicaElectionResult::partition_result`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionResult {
    pub partition_id: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
