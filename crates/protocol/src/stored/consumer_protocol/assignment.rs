//! ConsumerProtocolAssignment (versions 0–3, never flexible): the partitions that the leader of a
//! group gives to a member.
//!
//! - v1–3: no change of layout.

use bytes::Bytes;

use crate::Message;

/// The partitions that the leader of a group gives to a member.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=3)]
pub struct ConsumerProtocolAssignment {
    pub assigned_partitions: Vec<TopicPartition>,
    pub user_data: Option<Bytes>,
}

/// One of [`ConsumerProtocolAssignment::assigned_partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicPartition {
    pub topic: String,
    pub partitions: Vec<i32>,
}
