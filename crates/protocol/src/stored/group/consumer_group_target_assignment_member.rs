//! ConsumerGroupTargetAssignmentMember (record type 7, value versions 0, flexible from 0): what a
//! member of a consumer group is to own in the end.

use kalda_model::Uuid;

use crate::Message;

/// The key of a ConsumerGroupTargetAssignmentMember record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 7, versions = 0..=0)]
pub struct ConsumerGroupTargetAssignmentMemberKey {
    pub group_id: String,
    pub member_id: String,
}

/// What a member of a consumer group is to own in the end.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupTargetAssignmentMemberValue {
    pub topic_partitions: Vec<TopicPartition>,
}

/// One of [`ConsumerGroupTargetAssignmentMemberValue::topic_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartition {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}
