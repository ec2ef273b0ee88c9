//! PartitionRecord (metadata record 3, versions 0–2): a partition exists, with all its state.
//!
//! - v1: adds `directories` (KIP-858).
//! - v2: adds `eligible_leader_replicas`, `last_known_elr` (KIP-966).

use kalda_model::Uuid;

use crate::Message;

/// A partition exists, with all its state.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 0..)]
pub struct PartitionRecord {
    #[default(-1)]
    pub partition_id: i32,
    pub topic_id: Uuid,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub removing_replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    #[default(-1)]
    pub leader: i32,
    #[tag(0)]
    pub leader_recovery_state: i8,
    #[default(-1)]
    pub leader_epoch: i32,
    #[default(-1)]
    pub partition_epoch: i32,
    #[versions(1..)]
    pub directories: Vec<Uuid>,
    #[tag(1)]
    #[versions(2..)]
    pub eligible_leader_replicas: Option<Vec<i32>>,
    #[tag(2)]
    #[versions(2..)]
    pub last_known_elr: Option<Vec<i32>>,
}
