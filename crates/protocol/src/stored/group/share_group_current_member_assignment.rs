//! ShareGroupCurrentMemberAssignment (record type 14, value versions 0, flexible from 0): what a
//! member of a share group reads now.

use kalda_model::Uuid;

use crate::Message;

/// The key of a ShareGroupCurrentMemberAssignment record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 14, versions = 0..=0)]
pub struct ShareGroupCurrentMemberAssignmentKey {
    pub group_id: String,
    pub member_id: String,
}

/// What a member of a share group reads now.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ShareGroupCurrentMemberAssignmentValue {
    pub member_epoch: i32,
    pub previous_member_epoch: i32,
    pub state: i8,
    pub assigned_partitions: Vec<TopicPartitions>,
}

/// One of [`ShareGroupCurrentMemberAssignmentValue::assigned_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}
