//! ShareFetch (key 78, versions 1, flexible from 0): acquires records for a member of a share
//! group, and acknowledges earlier ones (KIP-932).

use bytes::Bytes;
use kalda_model::Uuid;

use crate::Message;

/// The partitions to read and the acknowledgements.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 78, versions = 1..=1, flexible = 0.., response = ShareFetchResponse)]
pub struct ShareFetchRequest {
    pub group_id: Option<String>,
    #[default(empty)]
    pub member_id: Option<String>,
    pub share_session_epoch: i32,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    #[default(i32::MAX)]
    pub max_bytes: i32,
    pub max_records: i32,
    pub batch_size: i32,
    pub topics: Vec<FetchTopic>,
    pub forgotten_topics_data: Vec<ForgottenTopic>,
}

/// One of [`ShareFetchRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct FetchTopic {
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

/// One of [`FetchTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct FetchPartition {
    pub partition_index: i32,
    pub acknowledgement_batches: Vec<AcknowledgementBatch>,
}

/// One of [`FetchPartition::acknowledgement_batches`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AcknowledgementBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub acknowledge_types: Vec<i8>,
}

/// One of [`ShareFetchRequest::forgotten_topics_data`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ForgottenTopic {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

/// Records and which of them were acquired.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=1, flexible = 0..)]
pub struct ShareFetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub acquisition_lock_timeout_ms: i32,
    pub responses: Vec<ShareFetchableTopicResponse>,
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`ShareFetchResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ShareFetchableTopicResponse {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

/// One of [`ShareFetchableTopicResponse::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub acknowledge_error_code: i16,
    pub acknowledge_error_message: Option<String>,
    pub current_leader: LeaderIdAndEpoch,
    pub records: Bytes,
    pub acquired_records: Vec<AcquiredRecords>,
}

/// The value of [`PartitionData::current_leader`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

/// One of [`PartitionData::acquired_records`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AcquiredRecords {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery_count: i16,
}

/// One of [`ShareFetchResponse::node_endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}
