//! DeleteShareGroupState (key 86, versions 0, flexible from 0): deletes the stored state of share
//! partitions (KIP-932).

use kalda_model::Uuid;

use crate::Message;

/// The partitions to forget.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 86, versions = 0..=0, flexible = 0.., response = DeleteShareGroupStateResponse)]
pub struct DeleteShareGroupStateRequest {
    pub group_id: String,
    pub topics: Vec<DeleteStateData>,
}

/// One of [`DeleteShareGroupStateRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteStateData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

/// One of [`DeleteStateData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionData {
    pub partition: i32,
}

/// The outcome per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DeleteShareGroupStateResponse {
    pub results: Vec<DeleteStateResult>,
}

/// One of [`DeleteShareGroupStateResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteStateResult {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionResult>,
}

/// One of [`DeleteStateResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionResult {
    pub partition: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
}
