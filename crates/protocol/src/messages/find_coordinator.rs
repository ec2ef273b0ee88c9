//! FindCoordinator (key 10, versions 0–6, flexible from 3): finds the broker that coordinates a
//! group (key type 0), a transactional id (1) or a share partition (2).
//!
//! - v1: request adds `key_type`; response adds `throttle_time_ms`, `error_message`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: flexible.
//! - v4: request adds `coordinator_keys` and drops `key`; response adds `coordinators` and drops
//!   `error_code`, `error_message`, `node_id`, `host`, `port` (KIP-699).
//! - v5: same layout; may answer TRANSACTION_ABORTABLE (KIP-890).
//! - v6: same layout; key type 2, share partitions (KIP-932).

use crate::Message;

/// The ids to find coordinators for.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 10, versions = 0..=6, flexible = 3.., response = FindCoordinatorResponse)]
pub struct FindCoordinatorRequest {
    #[versions(0..=3)]
    pub key: String,
    #[versions(1..)]
    pub key_type: i8,
    #[versions(4..)]
    pub coordinator_keys: Vec<String>,
}

/// The coordinators found.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=6, flexible = 3..)]
pub struct FindCoordinatorResponse {
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    #[versions(0..=3)]
    pub error_code: i16,
    #[versions(1..=3)]
    #[default(empty)]
    #[ignorable]
    pub error_message: Option<String>,
    #[versions(0..=3)]
    pub node_id: i32,
    #[versions(0..=3)]
    pub host: String,
    #[versions(0..=3)]
    pub port: i32,
    #[versions(4..)]
    pub coordinators: Vec<Coordinator>,
}

/// One of [`FindCoordinatorResponse::coordinators`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Coordinator {
    pub key: String,
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
