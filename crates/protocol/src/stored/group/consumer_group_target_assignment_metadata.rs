//! ConsumerGroupTargetAssignmentMetadata (record type 6, value versions 0, flexible from 0): the
//! epoch of the assignment that a consumer group is moving to.

use crate::Message;

/// The key of a ConsumerGroupTargetAssignmentMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 6, versions = 0..=0)]
pub struct ConsumerGroupTargetAssignmentMetadataKey {
    pub group_id: String,
}

/// The epoch of the assignment that a consumer group is moving to.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupTargetAssignmentMetadataValue {
    pub assignment_epoch: i32,
}
