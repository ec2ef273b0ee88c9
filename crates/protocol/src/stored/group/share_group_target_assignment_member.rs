//! ShareGroupTargetAssignmentMember (record type 13, value versions 0, flexible from 0): what a
//! member of a share group is to read in the end.

use kalda_model::Uuid;

use crate::Message;

/// The key of a ShareGroupTargetAssignmentMember record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 13, versions = 0..=0)]
pub struct ShareGroupTargetAssignmentMemberKey {
    pub group_id: String,
    pub member_id: String,
}

/// What a member of a share group is to read in the end.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ShareGroupTargetAssignmentMemberValue {
    pub topic_partitions: Vec<TopicPartition>,
}

/// One of [`ShareGroupTargetAssignmentMemberValue::topic_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartition {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}
