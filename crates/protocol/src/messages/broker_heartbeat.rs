//! BrokerHeartbeat (key 63, versions 0–1, flexible from 0): keeps a broker registered, and asks to
//! be unfenced or to shut down (KIP-631).
//!
//! - v1: request adds `offline_log_dirs`.

use kalda_model::Uuid;

use crate::Message;

/// The state the broker is in and wants.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 63, versions = 0..=1, flexible = 0.., response = BrokerHeartbeatResponse)]
pub struct BrokerHeartbeatRequest {
    pub broker_id: i32,
    #[default(-1)]
    pub broker_epoch: i64,
    pub current_metadata_offset: i64,
    pub want_fence: bool,
    pub want_shut_down: bool,
    #[tag(0)]
    #[versions(1..)]
    pub offline_log_dirs: Vec<Uuid>,
}

/// The state it is to take.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 0..)]
pub struct BrokerHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub is_caught_up: bool,
    #[default(true)]
    pub is_fenced: bool,
    pub should_shut_down: bool,
}
