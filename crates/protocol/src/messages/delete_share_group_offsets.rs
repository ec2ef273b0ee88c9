//! DeleteShareGroupOffsets (key 92, versions 0, flexible from 0): deletes the offsets of a share
//! group by topic (KIP-932).

use kalda_model::Uuid;

use crate::Message;

/// The topics to forget.
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

/// The outcome per topic.
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
