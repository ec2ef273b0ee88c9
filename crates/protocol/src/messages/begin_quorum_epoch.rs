//! BeginQuorumEpoch (key 53, versions 0–1, flexible from 1): tells the voters who leads the new
//! epoch (KIP-595).
//!
//! - v1: request adds `voter_id`, `voter_directory_id`, `leader_endpoints`; response adds
//!   `node_endpoints`; flexible (KIP-853).

use kalda_model::Uuid;

use crate::Message;

/// The leader and its epoch.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 53, versions = 0..=1, flexible = 1.., response = BeginQuorumEpochResponse)]
pub struct BeginQuorumEpochRequest {
    pub cluster_id: Option<String>,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub voter_id: i32,
    pub topics: Vec<RequestTopicData>,
    #[versions(1..)]
    #[ignorable]
    pub leader_endpoints: Vec<LeaderEndpoint>,
}

/// One of [`BeginQuorumEpochRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestTopicData {
    pub topic_name: String,
    pub partitions: Vec<RequestPartitionData>,
}

/// One of [`RequestTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestPartitionData {
    pub partition_index: i32,
    #[versions(1..)]
    #[ignorable]
    pub voter_directory_id: Uuid,
    pub leader_id: i32,
    pub leader_epoch: i32,
}

/// One of [`BeginQuorumEpochRequest::leader_endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct LeaderEndpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// An error code per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 1..)]
pub struct BeginQuorumEpochResponse {
    pub error_code: i16,
    pub topics: Vec<ResponseTopicData>,
    #[tag(0)]
    #[versions(1..)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`BeginQuorumEpochResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponseTopicData {
    pub topic_name: String,
    pub partitions: Vec<ResponsePartitionData>,
}

/// One of [`ResponseTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponsePartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub leader_id: i32,
    pub leader_epoch: i32,
}

/// One of [`BeginQuorumEpochResponse::node_endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: u16,
}
