//! StreamsGroupTargetAssignmentMetadata (record type 20, value versions 0, flexible from 0): the
//! epoch of the assignment that a streams group is moving to.

use crate::Message;

/// The key of a StreamsGroupTargetAssignmentMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 20, versions = 0..=0)]
pub struct StreamsGroupTargetAssignmentMetadataKey {
    pub group_id: String,
}

/// The epoch of the assignment that a streams group is moving to.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct StreamsGroupTargetAssignmentMetadataValue {
    pub assignment_epoch: i32,
}
