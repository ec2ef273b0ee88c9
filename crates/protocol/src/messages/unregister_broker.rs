//! UnregisterBroker (key 64, versions 0, flexible from 0): removes the registration of a broker
//! that is gone (KIP-631).

use crate::Message;

/// The broker to forget.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 64, versions = 0..=0, flexible = 0.., response = UnregisterBrokerResponse)]
pub struct UnregisterBrokerRequest {
    pub broker_id: i32,
}

/// An error code.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct UnregisterBrokerResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
