//! PushTelemetry (key 72, versions 0, flexible from 0):

use bytes::Bytes;
use kalda_model::Uuid;

use crate::Message;

/// Asks for PushTelemetry.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 72, versions = 0..=0, flexible = 0.., response = PushTelemetryResponse)]
pub struct PushTelemetryRequest {
    pub client_instance_id: Uuid,
    pub subscription_id: i32,
    pub terminating: bool,
    pub compression_type: i8,
    pub metrics: Bytes,
}

/// Answers [`PushTelemetryRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct PushTelemetryResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
