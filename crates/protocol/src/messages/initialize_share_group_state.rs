//! InitializeShareGroupState (key 83, versions 0, flexible from 0): creates the stored state of
//! share partitions (KIP-932).

use kalda_model::Uuid;

use crate::Message;

/// The partitions with their start offsets.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 83, versions = 0..=0, flexible = 0.., response = InitializeShareGroupStateResponse)]
pub struct InitializeShareGroupStateRequest {
    pub group_id: String,
    pub topics: Vec<InitializeStateData>,
}

/// One of [`InitializeShareGroupStateRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct InitializeStateData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

/// One of [`InitializeStateData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionData {
    pub partition: i32,
    pub state_epoch: i32,
    pub start_offset: i64,
}

/// The outcome per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct InitializeShareGroupStateResponse {
    pub results: Vec<InitializeStateResult>,
}

/// One of [`InitializeShareGroupStateResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct InitializeStateResult {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionResult>,
}

/// One of [`InitializeStateResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionResult {
    pub partition: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
}
