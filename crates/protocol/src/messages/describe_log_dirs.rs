//! DescribeLogDirs (key 35, versions 0–4, flexible from 2): shows the log directories of a broker
//! and the sizes of the replicas in them (KIP-113).
//!
//! Versions below 1 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: flexible.
//! - v3: response adds `error_code`.
//! - v4: response adds `total_bytes`, `usable_bytes`.

use crate::Message;

/// The partitions asked about; null is all.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 35, versions = 0..=4, flexible = 2.., response = DescribeLogDirsResponse)]
pub struct DescribeLogDirsRequest {
    #[default(empty)]
    pub topics: Option<Vec<DescribableLogDirTopic>>,
}

/// One of [`DescribeLogDirsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribableLogDirTopic {
    pub topic: String,
    pub partitions: Vec<i32>,
}

/// The directories with their replicas.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 2..)]
pub struct DescribeLogDirsResponse {
    pub throttle_time_ms: i32,
    #[versions(3..)]
    #[ignorable]
    pub error_code: i16,
    pub results: Vec<DescribeLogDirsResult>,
}

/// One of [`DescribeLogDirsResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeLogDirsResult {
    pub error_code: i16,
    pub log_dir: String,
    pub topics: Vec<DescribeLogDirsTopic>,
    #[versions(4..)]
    #[default(-1)]
    #[ignorable]
    pub total_bytes: i64,
    #[versions(4..)]
    #[default(-1)]
    #[ignorable]
    pub usable_bytes: i64,
}

/// One of [`DescribeLogDirsResult::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeLogDirsTopic {
    pub name: String,
    pub partitions: Vec<DescribeLogDirsPartition>,
}

/// One of [`DescribeLogDirsTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeLogDirsPartition {
    pub partition_index: i32,
    pub partition_size: i64,
    pub offset_lag: i64,
    pub is_future_key: bool,
}
