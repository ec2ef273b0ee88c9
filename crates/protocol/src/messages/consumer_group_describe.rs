//! ConsumerGroupDescribe (key 69, versions 0–1, flexible from 0): shows groups of the new consumer
//! protocol (KIP-848).
//!
//! - v1: response adds `member_type` (KIP-1099).

use kalda_model::Uuid;

use crate::Message;

/// The groups asked about.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 69, versions = 0..=1, flexible = 0.., response = ConsumerGroupDescribeResponse)]
pub struct ConsumerGroupDescribeRequest {
    pub group_ids: Vec<String>,
    pub include_authorized_operations: bool,
}

/// The groups with members and assignments.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 0..)]
pub struct ConsumerGroupDescribeResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

/// One of [`ConsumerGroupDescribeResponse::groups`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribedGroup {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor_name: String,
    pub members: Vec<Member>,
    #[default(i32::MIN)]
    pub authorized_operations: i32,
}

/// One of [`DescribedGroup::members`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Member {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub member_epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topic_names: Vec<String>,
    pub subscribed_topic_regex: Option<String>,
    pub assignment: Assignment,
    pub target_assignment: Assignment,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub member_type: i8,
}

/// The value of [`Member::assignment`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}

/// One of [`Assignment::topic_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub topic_name: String,
    pub partitions: Vec<i32>,
}
