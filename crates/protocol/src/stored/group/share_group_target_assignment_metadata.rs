//! ShareGroupTargetAssignmentMetadata (record type 12, value versions 0, flexible from 0): the
//! epoch of the assignment that a share group is moving to.

use crate::Message;

/// The key of a ShareGroupTargetAssignmentMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 12, versions = 0..=0)]
pub struct ShareGroupTargetAssignmentMetadataKey {
    pub group_id: String,
}

/// The epoch of the assignment that a share group is moving to.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ShareGroupTargetAssignmentMetadataValue {
    pub assignment_epoch: i32,
}
