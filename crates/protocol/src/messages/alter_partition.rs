//! AlterPartition (key 56, versions 2–3, flexible from 0): asks the controller to change the
//! in-sync replicas of partitions; sent by their leaders (KIP-497).
//!
//! - v3: request adds `new_isr_with_epochs` and drops `new_isr` (KIP-903).

use kalda_model::Uuid;

use crate::Message;

/// The in-sync replicas wanted.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 56, versions = 2..=3, flexible = 0.., response = AlterPartitionResponse)]
pub struct AlterPartitionRequest {
    pub broker_id: i32,
    #[default(-1)]
    pub broker_epoch: i64,
    pub topics: Vec<RequestTopicData>,
}

/// One of [`AlterPartitionRequest::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestTopicData {
    pub topic_id: Uuid,
    pub partitions: Vec<RequestPartitionData>,
}

/// One of [`RequestTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestPartitionData {
    pub partition_index: i32,
    pub leader_epoch: i32,
    #[versions(0..=2)]
    pub new_isr: Vec<i32>,
    #[versions(3..)]
    pub new_isr_with_epochs: Vec<BrokerState>,
    pub leader_recovery_state: i8,
    pub partition_epoch: i32,
}

/// One of [`RequestPartitionData::new_isr_with_epochs`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct BrokerState {
    pub broker_id: i32,
    #[default(-1)]
    pub broker_epoch: i64,
}

/// The state that now holds.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 2..=3, flexible = 0..)]
pub struct AlterPartitionResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub topics: Vec<ResponseTopicData>,
}

/// One of [`AlterPartitionResponse::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponseTopicData {
    pub topic_id: Uuid,
    pub partitions: Vec<ResponsePartitionData>,
}

/// One of [`ResponseTopicData::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponsePartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub isr: Vec<i32>,
    pub leader_recovery_state: i8,
    pub partition_epoch: i32,
}
