//! PartitionChangeRecord (metadata record 5, versions 0–2): something of a partition changed. What
//! is null, or -2 for the leader, stays.
//!
//! - v1: adds `directories` (KIP-858).
//! - v2: adds `eligible_leader_replicas`, `last_known_elr` (KIP-966).

use kalda_model::Uuid;

use crate::Message;

/// Something of a partition changed. What is null, or -2 for the leader, stays.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 0..)]
pub struct PartitionChangeRecord {
    #[default(-1)]
    pub partition_id: i32,
    pub topic_id: Uuid,
    #[tag(0)]
    pub isr: Option<Vec<i32>>,
    #[tag(1)]
    #[default(-2)]
    pub leader: i32,
    #[tag(2)]
    pub replicas: Option<Vec<i32>>,
    #[tag(3)]
    pub removing_replicas: Option<Vec<i32>>,
    #[tag(4)]
    pub adding_replicas: Option<Vec<i32>>,
    #[tag(5)]
    #[default(-1)]
    pub leader_recovery_state: i8,
    #[tag(8)]
    #[versions(1..)]
    pub directories: Option<Vec<Uuid>>,
    #[tag(6)]
    #[versions(2..)]
    pub eligible_leader_replicas: Option<Vec<i32>>,
    #[tag(7)]
    #[versions(2..)]
    pub last_known_elr: Option<Vec<i32>>,
}
