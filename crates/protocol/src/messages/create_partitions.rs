//! CreatePartitions (key 37, versions 0–3, flexible from 2): adds partitions to topics (KIP-195).
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: flexible.
//! - v3: same layout; may answer THROTTLING_QUOTA_EXCEEDED (KIP-599).

use crate::Message;

/// The new numbers of partitions.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 37, versions = 0..=3, flexible = 2.., response = CreatePartitionsResponse)]
pub struct CreatePartitionsRequest {
    pub topics: Vec<CreatePartitionsTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

/// One of [`CreatePartitionsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatePartitionsTopic {
    pub name: String,
    pub count: i32,
    #[default(empty)]
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

/// One of [`CreatePartitionsTopic::assignments`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatePartitionsAssignment {
    pub broker_ids: Vec<i32>,
}

/// The outcome per topic.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=3, flexible = 2..)]
pub struct CreatePartitionsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<CreatePartitionsTopicResult>,
}

/// One of [`CreatePartitionsResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CreatePartitionsTopicResult {
    pub name: String,
    pub error_code: i16,
    pub error_message: Option<String>,
}
