//! AlterReplicaLogDirs (key 34, versions 0–2, flexible from 2): moves replicas between the log
//! directories of one broker (KIP-113).
//!
//! Versions below 1 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: flexible.

use crate::Message;

/// The replicas by target directory.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 34, versions = 0..=2, flexible = 2.., response = AlterReplicaLogDirsResponse)]
pub struct AlterReplicaLogDirsRequest {
    pub dirs: Vec<AlterReplicaLogDir>,
}

/// One of [`AlterReplicaLogDirsRequest::dirs`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterReplicaLogDir {
    pub path: String,
    pub topics: Vec<AlterReplicaLogDirTopic>,
}

/// One of [`AlterReplicaLogDir::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterReplicaLogDirTopic {
    pub name: String,
    pub partitions: Vec<i32>,
}

/// The outcome per replica.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 2..)]
pub struct AlterReplicaLogDirsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<AlterReplicaLogDirTopicResult>,
}

/// One of [`AlterReplicaLogDirsResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterReplicaLogDirTopicResult {
    pub topic_name: String,
    pub partitions: Vec<AlterReplicaLogDirPartitionResult>,
}

/// One of [`AlterReplicaLogDirTopicResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterReplicaLogDirPartitionResult {
    pub partition_index: i32,
    pub error_code: i16,
}
