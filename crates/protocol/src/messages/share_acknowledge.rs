//! ShareAcknowledge (key 79, versions 1, flexible from 0): acknowledges records of a share group
//! (KIP-932).

use kalda_model::Uuid;

use crate::Message;

/// The acknowledgements by partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 79, versions = 1..=1, flexible = 0.., response = ShareAcknowledgeResponse)]
pub struct ShareAcknowledgeRequest {
    pub group_id: Option<String>,
    #[default(empty)]
    pub member_id: Option<String>,
    pub share_session_epoch: i32,
    pub topics: Vec<AcknowledgeTopic>,
}

/// One of [`ShareAcknowledgeRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AcknowledgeTopic {
    pub topic_id: Uuid,
    pub partitions: Vec<AcknowledgePartition>,
}

/// One of [`AcknowledgeTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AcknowledgePartition {
    pub partition_index: i32,
    pub acknowledgement_batches: Vec<AcknowledgementBatch>,
}

/// One of [`AcknowledgePartition::acknowledgement_batches`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AcknowledgementBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub acknowledge_types: Vec<i8>,
}

/// The outcome per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=1, flexible = 0..)]
pub struct ShareAcknowledgeResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub responses: Vec<ShareAcknowledgeTopicResponse>,
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`ShareAcknowledgeResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ShareAcknowledgeTopicResponse {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

/// One of [`ShareAcknowledgeTopicResponse::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub current_leader: LeaderIdAndEpoch,
}

/// The value of [`PartitionData::current_leader`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

/// One of [`ShareAcknowledgeResponse::node_endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}
