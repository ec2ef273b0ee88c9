//! The records of `__consumer_offsets`: groups of every kind, their members and their offsets.
//!
//! Written and replayed by the group coordinator; also read by tools that watch the topic.

pub mod consumer_group_current_member_assignment;
pub mod consumer_group_member_metadata;
pub mod consumer_group_metadata;
pub mod consumer_group_partition_metadata;
pub mod consumer_group_regular_expression;
pub mod consumer_group_target_assignment_member;
pub mod consumer_group_target_assignment_metadata;
pub mod group_metadata;
pub mod legacy_offset_commit;
pub mod offset_commit;
pub mod share_group_current_member_assignment;
pub mod share_group_member_metadata;
pub mod share_group_metadata;
pub mod share_group_state_partition_metadata;
pub mod share_group_target_assignment_member;
pub mod share_group_target_assignment_metadata;
pub mod streams_group_current_member_assignment;
pub mod streams_group_member_metadata;
pub mod streams_group_metadata;
pub mod streams_group_target_assignment_member;
pub mod streams_group_target_assignment_metadata;
pub mod streams_group_topology;

use crate::stored::coordinator_keys;

pub use consumer_group_current_member_assignment::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue,
};
pub use consumer_group_member_metadata::{
    ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue,
};
pub use consumer_group_metadata::{ConsumerGroupMetadataKey, ConsumerGroupMetadataValue};
pub use consumer_group_partition_metadata::{
    ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue,
};
pub use consumer_group_regular_expression::{
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
};
pub use consumer_group_target_assignment_member::{
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
};
pub use consumer_group_target_assignment_metadata::{
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
};
pub use group_metadata::{GroupMetadataKey, GroupMetadataValue};
pub use legacy_offset_commit::{LegacyOffsetCommitKey, LegacyOffsetCommitValue};
pub use offset_commit::{OffsetCommitKey, OffsetCommitValue};
pub use share_group_current_member_assignment::{
    ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue,
};
pub use share_group_member_metadata::{ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue};
pub use share_group_metadata::{ShareGroupMetadataKey, ShareGroupMetadataValue};
pub use share_group_state_partition_metadata::{
    ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue,
};
pub use share_group_target_assignment_member::{
    ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue,
};
pub use share_group_target_assignment_metadata::{
    ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue,
};
pub use streams_group_current_member_assignment::{
    StreamsGroupCurrentMemberAssignmentKey, StreamsGroupCurrentMemberAssignmentValue,
};
pub use streams_group_member_metadata::{
    StreamsGroupMemberMetadataKey, StreamsGroupMemberMetadataValue,
};
pub use streams_group_metadata::{StreamsGroupMetadataKey, StreamsGroupMetadataValue};
pub use streams_group_target_assignment_member::{
    StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue,
};
pub use streams_group_target_assignment_metadata::{
    StreamsGroupTargetAssignmentMetadataKey, StreamsGroupTargetAssignmentMetadataValue,
};
pub use streams_group_topology::{StreamsGroupTopologyKey, StreamsGroupTopologyValue};

coordinator_keys! {
    "group",
    /// The key of a record of `__consumer_offsets`, which says what the value is.
    pub enum GroupKey {
        LegacyOffsetCommit(LegacyOffsetCommitKey),
        OffsetCommit(OffsetCommitKey),
        GroupMetadata(GroupMetadataKey),
        ConsumerGroupMetadata(ConsumerGroupMetadataKey),
        ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey),
        ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataKey),
        ConsumerGroupTargetAssignmentMetadata(ConsumerGroupTargetAssignmentMetadataKey),
        ConsumerGroupTargetAssignmentMember(ConsumerGroupTargetAssignmentMemberKey),
        ConsumerGroupCurrentMemberAssignment(ConsumerGroupCurrentMemberAssignmentKey),
        ShareGroupMemberMetadata(ShareGroupMemberMetadataKey),
        ShareGroupMetadata(ShareGroupMetadataKey),
        ShareGroupTargetAssignmentMetadata(ShareGroupTargetAssignmentMetadataKey),
        ShareGroupTargetAssignmentMember(ShareGroupTargetAssignmentMemberKey),
        ShareGroupCurrentMemberAssignment(ShareGroupCurrentMemberAssignmentKey),
        ShareGroupStatePartitionMetadata(ShareGroupStatePartitionMetadataKey),
        ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey),
        StreamsGroupMetadata(StreamsGroupMetadataKey),
        StreamsGroupMemberMetadata(StreamsGroupMemberMetadataKey),
        StreamsGroupTargetAssignmentMetadata(StreamsGroupTargetAssignmentMetadataKey),
        StreamsGroupTargetAssignmentMember(StreamsGroupTargetAssignmentMemberKey),
        StreamsGroupCurrentMemberAssignment(StreamsGroupCurrentMemberAssignmentKey),
        StreamsGroupTopology(StreamsGroupTopologyKey),
    }
}
