//! ReadShareGroupStateSummary (key 87, versions 0, flexible from 0): reads how far share partitions
//! have come, without the states of delivery (KIP-932).

use kalda_model::Uuid;

use crate::Message;

/// The partitions asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 87, versions = 0..=0, flexible = 0.., response = ReadShareGroupStateSummaryResponse)]
pub struct ReadShareGroupStateSummaryRequest {
    pub group_id: String,
    pub topics: Vec<ReadStateSummaryData>,
}

/// One of [`ReadShareGroupStateSummaryRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReadStateSummaryData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

/// One of [`ReadStateSummaryData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionData {
    pub partition: i32,
    pub leader_epoch: i32,
}

/// Their start offsets and epochs.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ReadShareGroupStateSummaryResponse {
    pub results: Vec<ReadStateSummaryResult>,
}

/// One of [`ReadShareGroupStateSummaryResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ReadStateSummaryResult {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionResult>,
}

/// One of [`ReadStateSummaryResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct PartitionResult {
    pub partition: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub state_epoch: i32,
    pub leader_epoch: i32,
    pub start_offset: i64,
}
