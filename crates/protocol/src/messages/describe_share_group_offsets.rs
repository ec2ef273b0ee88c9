//! DescribeShareGroupOffsets (key 90, versions 0, flexible from 0): shows the start offsets of
//! share groups (KIP-932).

use kalda_model::Uuid;

use crate::Message;

/// The groups and partitions asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 90, versions = 0..=0, flexible = 0.., response = DescribeShareGroupOffsetsResponse)]
pub struct DescribeShareGroupOffsetsRequest {
    pub groups: Vec<DescribeShareGroupOffsetsRequestGroup>,
}

/// One of [`DescribeShareGroupOffsetsRequest::groups`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeShareGroupOffsetsRequestGroup {
    pub group_id: String,
    #[default(empty)]
    pub topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>>,
}

/// One of [`DescribeShareGroupOffsetsRequestGroup::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeShareGroupOffsetsRequestTopic {
    pub topic_name: String,
    pub partitions: Vec<i32>,
}

/// The start offsets.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DescribeShareGroupOffsetsResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribeShareGroupOffsetsResponseGroup>,
}

/// One of [`DescribeShareGroupOffsetsResponse::groups`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeShareGroupOffsetsResponseGroup {
    pub group_id: String,
    pub topics: Vec<DescribeShareGroupOffsetsResponseTopic>,
    pub error_code: i16,
    pub error_message: Option<String>,
}

/// One of [`DescribeShareGroupOffsetsResponseGroup::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeShareGroupOffsetsResponseTopic {
    pub topic_name: String,
    pub topic_id: Uuid,
    pub partitions: Vec<DescribeShareGroupOffsetsResponsePartition>,
}

/// One of [`DescribeShareGroupOffsetsResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeShareGroupOffsetsResponsePartition {
    pub partition_index: i32,
    pub start_offset: i64,
    pub leader_epoch: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
}
