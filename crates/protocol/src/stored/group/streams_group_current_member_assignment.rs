//! StreamsGroupCurrentMemberAssignment (record type 22, value versions 0, flexible from 0): the
//! tasks that a member of a streams group owns now, and those it is giving up.

use crate::Message;

/// The key of a StreamsGroupCurrentMemberAssignment record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 22, versions = 0..=0)]
pub struct StreamsGroupCurrentMemberAssignmentKey {
    pub group_id: String,
    pub member_id: String,
}

/// The tasks that a member of a streams group owns now, and those it is giving up.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct StreamsGroupCurrentMemberAssignmentValue {
    pub member_epoch: i32,
    pub previous_member_epoch: i32,
    pub state: i8,
    pub active_tasks: Vec<TaskIds>,
    pub standby_tasks: Vec<TaskIds>,
    pub warmup_tasks: Vec<TaskIds>,
    pub active_tasks_pending_revocation: Vec<TaskIds>,
    pub standby_tasks_pending_revocation: Vec<TaskIds>,
    pub warmup_tasks_pending_revocation: Vec<TaskIds>,
}

/// One of [`StreamsGroupCurrentMemberAssignmentValue::active_tasks`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TaskIds {
    pub subtopology_id: String,
    pub partitions: Vec<i32>,
}
