//! WriteShareGroupState (key 85, versions 0, flexible from 0): updates the stored state of share
//! partitions (KIP-932).

use kalda_model::Uuid;

use crate::Message;

/// The changes by partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 85, versions = 0..=0, flexible = 0.., response = WriteShareGroupStateResponse)]
pub struct WriteShareGroupStateRequest {
    pub group_id: String,
    pub topics: Vec<WriteStateData>,
}

/// One of [`WriteShareGroupStateRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct WriteStateData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

/// One of [`WriteStateData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionData {
    pub partition: i32,
    pub state_epoch: i32,
    pub leader_epoch: i32,
    pub start_offset: i64,
    pub state_batches: Vec<StateBatch>,
}

/// One of [`PartitionData::state_batches`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct StateBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery_state: i8,
    pub delivery_count: i16,
}

/// The outcome per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct WriteShareGroupStateResponse {
    pub results: Vec<WriteStateResult>,
}

/// One of [`WriteShareGroupStateResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct WriteStateResult {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionResult>,
}

/// One of [`WriteStateResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionResult {
    pub partition: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
}
