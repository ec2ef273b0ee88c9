//! ConsumerGroupCurrentMemberAssignment (record type 8, value versions 0, flexible from 0): what a
//! member of a consumer group owns now, and what it is giving up.

use kalda_model::Uuid;

use crate::Message;

/// The key of a ConsumerGroupCurrentMemberAssignment record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 8, versions = 0..=0)]
pub struct ConsumerGroupCurrentMemberAssignmentKey {
    pub group_id: String,
    pub member_id: String,
}

/// What a member of a consumer group owns now, and what it is giving up.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupCurrentMemberAssignmentValue {
    pub member_epoch: i32,
    pub previous_member_epoch: i32,
    pub state: i8,
    pub assigned_partitions: Vec<TopicPartitions>,
    pub partitions_pending_revocation: Vec<TopicPartitions>,
}

/// One of [`ConsumerGroupCurrentMemberAssignmentValue::assigned_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}
