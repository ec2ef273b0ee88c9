//! AssignReplicasToDirs (key 73, versions 0, flexible from 0): tells the controller in which log
//! directories replicas lie (KIP-858).

use kalda_model::Uuid;

use crate::Message;

/// The replicas by directory.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 73, versions = 0..=0, flexible = 0.., response = AssignReplicasToDirsResponse)]
pub struct AssignReplicasToDirsRequest {
    pub broker_id: i32,
    #[default(-1)]
    pub broker_epoch: i64,
    pub directories: Vec<RequestDirectoryData>,
}

/// One of [`AssignReplicasToDirsRequest::directories`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestDirectoryData {
    pub id: Uuid,
    pub topics: Vec<RequestTopicData>,
}

/// One of [`RequestDirectoryData::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestTopicData {
    pub topic_id: Uuid,
    pub partitions: Vec<RequestPartitionData>,
}

/// One of [`RequestTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestPartitionData {
    pub partition_index: i32,
}

/// The outcome per replica.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct AssignReplicasToDirsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub directories: Vec<ResponseDirectoryData>,
}

/// One of [`AssignReplicasToDirsResponse::directories`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponseDirectoryData {
    pub id: Uuid,
    pub topics: Vec<ResponseTopicData>,
}

/// One of [`ResponseDirectoryData::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponseTopicData {
    pub topic_id: Uuid,
    pub partitions: Vec<ResponsePartitionData>,
}

/// One of [`ResponseTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponsePartitionData {
    pub partition_index: i32,
    pub error_code: i16,
}
