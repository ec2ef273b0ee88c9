//! DescribeQuorum (key 55, versions 0–2, flexible from 0): shows the metadata quorum: leader,
//! voters, observers and how far each has come (KIP-595, KIP-836).
//!
//! - v1: response adds `last_fetch_timestamp`, `last_caught_up_timestamp` (KIP-836).
//! - v2: response adds `error_message`, `replica_directory_id`, `nodes` (KIP-853).

use kalda_model::Uuid;

use crate::Message;

/// The partition, which is that of the metadata log.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 55, versions = 0..=2, flexible = 0.., response = DescribeQuorumResponse)]
pub struct DescribeQuorumRequest {
    pub topics: Vec<RequestTopicData>,
}

/// One of [`DescribeQuorumRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestTopicData {
    pub topic_name: String,
    pub partitions: Vec<RequestPartitionData>,
}

/// One of [`RequestTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestPartitionData {
    pub partition_index: i32,
}

/// The state of the quorum.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 0..)]
pub struct DescribeQuorumResponse {
    pub error_code: i16,
    #[versions(2..)]
    #[default(empty)]
    #[ignorable]
    pub error_message: Option<String>,
    pub topics: Vec<ResponseTopicData>,
    #[versions(2..)]
    pub nodes: Vec<Node>,
}

/// One of [`DescribeQuorumResponse::topics`].
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
    #[versions(2..)]
    #[default(empty)]
    #[ignorable]
    pub error_message: Option<String>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub current_voters: Vec<ReplicaState>,
    pub observers: Vec<ReplicaState>,
}

/// One of [`ResponsePartitionData::current_voters`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReplicaState {
    pub replica_id: i32,
    #[versions(2..)]
    pub replica_directory_id: Uuid,
    pub log_end_offset: i64,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub last_fetch_timestamp: i64,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub last_caught_up_timestamp: i64,
}

/// One of [`DescribeQuorumResponse::nodes`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Node {
    pub node_id: i32,
    pub listeners: Vec<Listener>,
}

/// One of [`Node::listeners`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
}
