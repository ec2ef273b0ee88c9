//! DeleteShareGroupOffsets (key 92, versions 0, flexible from 0):

use kalda_model::Uuid;

use crate::Message;

/// Asks for DeleteShareGroupOffsets.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 92, versions = 0..=0, flexible = 0.., response = DeleteShareGroupOffsetsResponse)]
pub struct DeleteShareGroupOffsetsRequest {
    pub group_id: String,
    pub topics: Vec<DeleteShareGroupOffsetsRequestTopic>,
}

/// One of [`DeleteShareGroupOffsetsRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteShareGroupOffsetsRequestTopic {
    pub topic_name: String,
}

/// Answers [`DeleteShareGroupOffsetsRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DeleteShareGroupOffsetsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub responses: Vec<DeleteShareGroupOffsetsResponseTopic>,
}

/// One of [`DeleteShareGroupOffsetsResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteShareGroupOffsetsResponseTopic {
    pub topic_name: String,
    pub topic_id: Uuid,
    pub error_code: i16,
    pub error_message: Option<String>,
}
