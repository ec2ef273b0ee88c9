//! StreamsGroupTargetAssignmentMember (record type 21, value versions 0, flexible from 0): the
//! tasks that a member of a streams group is to own in the end.

use crate::Message;

/// The key of a StreamsGroupTargetAssignmentMember record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 21, versions = 0..=0)]
pub struct StreamsGroupTargetAssignmentMemberKey {
    pub group_id: String,
    pub member_id: String,
}

/// The tasks that a member of a streams group is to own in the end.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct StreamsGroupTargetAssignmentMemberValue {
    pub active_tasks: Vec<TaskIds>,
    pub standby_tasks: Vec<TaskIds>,
    pub warmup_tasks: Vec<TaskIds>,
}

/// One of [`StreamsGroupTargetAssignmentMemberValue::active_tasks`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TaskIds {
    pub subtopology_id: String,
    pub partitions: Vec<i32>,
}
