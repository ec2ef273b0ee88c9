//! FetchSnapshot (key 59, versions 0–1, flexible from 0): reads a piece of a snapshot of the
//! metadata log (KIP-630).
//!
//! - v1: request adds `replica_directory_id`; response adds `node_endpoints` (KIP-853).

use bytes::Bytes;
use kalda_model::Uuid;

use crate::Message;

/// The snapshot and the position in it.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 59, versions = 0..=1, flexible = 0.., response = FetchSnapshotResponse)]
pub struct FetchSnapshotRequest {
    #[tag(0)]
    pub cluster_id: Option<String>,
    #[default(-1)]
    pub replica_id: i32,
    #[default(i32::MAX)]
    pub max_bytes: i32,
    pub topics: Vec<RequestTopicSnapshot>,
}

/// One of [`FetchSnapshotRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestTopicSnapshot {
    pub name: String,
    pub partitions: Vec<RequestPartitionSnapshot>,
}

/// One of [`RequestTopicSnapshot::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestPartitionSnapshot {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub snapshot_id: SnapshotId,
    pub position: i64,
    #[tag(0)]
    #[versions(1..)]
    #[ignorable]
    pub replica_directory_id: Uuid,
}

/// The value of [`RequestPartitionSnapshot::snapshot_id`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

/// The bytes at that position.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 0..)]
pub struct FetchSnapshotResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub topics: Vec<ResponseTopicSnapshot>,
    #[tag(0)]
    #[versions(1..)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`FetchSnapshotResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponseTopicSnapshot {
    pub name: String,
    pub partitions: Vec<ResponsePartitionSnapshot>,
}

/// One of [`ResponseTopicSnapshot::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponsePartitionSnapshot {
    pub index: i32,
    pub error_code: i16,
    pub snapshot_id: SnapshotId,
    #[tag(0)]
    pub current_leader: LeaderIdAndEpoch,
    pub size: i64,
    pub position: i64,
    pub unaligned_records: Bytes,
}

/// The value of [`ResponsePartitionSnapshot::current_leader`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

/// One of [`FetchSnapshotResponse::node_endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: u16,
}
