//! EndQuorumEpoch (key 54, versions 0–1, flexible from 1): tells the voters that the leader steps
//! down, and who should follow it (KIP-595).
//!
//! - v1: request adds `preferred_candidates`, `leader_endpoints` and drops `preferred_successors`;
//!   response adds `node_endpoints`; flexible (KIP-853).

use kalda_model::Uuid;

use crate::Message;
// The two messages of a leader are answered alike.
pub use super::begin_quorum_epoch::{
    LeaderEndpoint, NodeEndpoint, ResponsePartitionData, ResponseTopicData,
};

/// The leader and its preferred successors.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 54, versions = 0..=1, flexible = 1.., response = EndQuorumEpochResponse)]
pub struct EndQuorumEpochRequest {
    pub cluster_id: Option<String>,
    pub topics: Vec<RequestTopicData>,
    #[versions(1..)]
    #[ignorable]
    pub leader_endpoints: Vec<LeaderEndpoint>,
}

/// One of [`EndQuorumEpochRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestTopicData {
    pub topic_name: String,
    pub partitions: Vec<RequestPartitionData>,
}

/// One of [`RequestTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestPartitionData {
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    #[versions(0)]
    #[ignorable]
    pub preferred_successors: Vec<i32>,
    #[versions(1..)]
    #[ignorable]
    pub preferred_candidates: Vec<ReplicaInfo>,
}

/// One of [`RequestPartitionData::preferred_candidates`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReplicaInfo {
    pub candidate_id: i32,
    pub candidate_directory_id: Uuid,
}

/// An error code per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 1..)]
pub struct EndQuorumEpochResponse {
    pub error_code: i16,
    pub topics: Vec<ResponseTopicData>,
    #[tag(0)]
    #[versions(1..)]
    pub node_endpoints: Vec<NodeEndpoint>,
}
