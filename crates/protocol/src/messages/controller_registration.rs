//! ControllerRegistration (key 70, versions 0, flexible from 0): registers a controller with the
//! active one (KIP-919).

use kalda_model::Uuid;

use crate::Message;

/// The controller with listeners and features.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 70, versions = 0..=0, flexible = 0.., response = ControllerRegistrationResponse)]
pub struct ControllerRegistrationRequest {
    pub controller_id: i32,
    pub incarnation_id: Uuid,
    pub zk_migration_ready: bool,
    pub listeners: Vec<Listener>,
    pub features: Vec<Feature>,
}

/// One of [`ControllerRegistrationRequest::listeners`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: i16,
}

/// One of [`ControllerRegistrationRequest::features`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Feature {
    pub name: String,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}

/// An error code.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ControllerRegistrationResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
