//! ListPartitionReassignments (key 46, versions 0, flexible from 0): lists moves of partitions in
//! progress (KIP-455).

use crate::Message;

/// The partitions asked about; null is all.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 46, versions = 0..=0, flexible = 0.., response = ListPartitionReassignmentsResponse)]
pub struct ListPartitionReassignmentsRequest {
    #[default(60000)]
    pub timeout_ms: i32,
    pub topics: Option<Vec<ListPartitionReassignmentsTopics>>,
}

/// One of [`ListPartitionReassignmentsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ListPartitionReassignmentsTopics {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

/// The moves in progress.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ListPartitionReassignmentsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub topics: Vec<OngoingTopicReassignment>,
}

/// One of [`ListPartitionReassignmentsResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OngoingTopicReassignment {
    pub name: String,
    pub partitions: Vec<OngoingPartitionReassignment>,
}

/// One of [`OngoingTopicReassignment::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OngoingPartitionReassignment {
    pub partition_index: i32,
    pub replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    pub removing_replicas: Vec<i32>,
}
