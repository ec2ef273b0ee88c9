//! ReadShareGroupState (key 84, versions 0, flexible from 0): reads the stored state of share
//! partitions (KIP-932).

use kalda_model::Uuid;

use crate::Message;

/// The partitions asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 84, versions = 0..=0, flexible = 0.., response = ReadShareGroupStateResponse)]
pub struct ReadShareGroupStateRequest {
    pub group_id: String,
    pub topics: Vec<ReadStateData>,
}

/// One of [`ReadShareGroupStateRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReadStateData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

/// One of [`ReadStateData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionData {
    pub partition: i32,
    pub leader_epoch: i32,
}

/// Their start offsets and states of delivery.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ReadShareGroupStateResponse {
    pub results: Vec<ReadStateResult>,
}

/// One of [`ReadShareGroupStateResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReadStateResult {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionResult>,
}

/// One of [`ReadStateResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionResult {
    pub partition: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub state_epoch: i32,
    pub start_offset: i64,
    pub state_batches: Vec<StateBatch>,
}

/// One of [`PartitionResult::state_batches`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct StateBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery_state: i8,
    pub delivery_count: i16,
}
