//! Vote (key 52, versions 0–2, flexible from 0): asks for a vote in the election of the metadata
//! leader (KIP-595), or whether it would be given (KIP-996).
//!
//! - v1: request adds `voter_id`, `replica_directory_id`, `voter_directory_id`; response adds
//!   `node_endpoints` (KIP-853).
//! - v2: request adds `pre_vote`.

use kalda_model::Uuid;

use crate::Message;

/// The candidate and the end of its log.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 52, versions = 0..=2, flexible = 0.., response = VoteResponse)]
pub struct VoteRequest {
    pub cluster_id: Option<String>,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub voter_id: i32,
    pub topics: Vec<RequestTopicData>,
}

/// One of [`VoteRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestTopicData {
    pub topic_name: String,
    pub partitions: Vec<RequestPartitionData>,
}

/// One of [`RequestTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestPartitionData {
    pub partition_index: i32,
    pub replica_epoch: i32,
    pub replica_id: i32,
    #[versions(1..)]
    #[ignorable]
    pub replica_directory_id: Uuid,
    #[versions(1..)]
    #[ignorable]
    pub voter_directory_id: Uuid,
    pub last_offset_epoch: i32,
    pub last_offset: i64,
    #[versions(2..)]
    pub pre_vote: bool,
}

/// Whether the vote is given.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 0..)]
pub struct VoteResponse {
    pub error_code: i16,
    pub topics: Vec<ResponseTopicData>,
    #[tag(0)]
    #[versions(1..)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`VoteResponse::topics`].
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
    pub vote_granted: bool,
}

/// One of [`VoteResponse::node_endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: u16,
}
