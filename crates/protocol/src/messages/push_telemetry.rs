//! PushTelemetry (key 72, versions 0, flexible from 0): pushes metrics of a client to the broker
//! (KIP-714).

use bytes::Bytes;
use kalda_model::Uuid;

use crate::Message;

/// Metrics in OTLP form.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 72, versions = 0..=0, flexible = 0.., response = PushTelemetryResponse)]
pub struct PushTelemetryRequest {
    pub client_instance_id: Uuid,
    pub subscription_id: i32,
    pub terminating: bool,
    pub compression_type: i8,
    pub metrics: Bytes,
}

/// An error code.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct PushTelemetryResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
