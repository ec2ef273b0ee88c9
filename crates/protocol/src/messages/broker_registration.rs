//! BrokerRegistration (key 62, versions 0–4, flexible from 0):
//!
//! - v1: request adds `is_migrating_zk_broker`.
//! - v2: request adds `log_dirs`.
//! - v3: request adds `previous_broker_epoch`.
//! - v4: no change of layout.

use kalda_model::Uuid;

use crate::Message;

/// Asks for BrokerRegistration.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 62, versions = 0..=4, flexible = 0.., response = BrokerRegistrationResponse)]
pub struct BrokerRegistrationRequest {
    pub broker_id: i32,
    pub cluster_id: String,
    pub incarnation_id: Uuid,
    pub listeners: Vec<Listener>,
    pub features: Vec<Feature>,
    #[default(empty)]
    pub rack: Option<String>,
    #[versions(1..)]
    pub is_migrating_zk_broker: bool,
    #[versions(2..)]
    #[ignorable]
    pub log_dirs: Vec<Uuid>,
    #[versions(3..)]
    #[default(-1)]
    #[ignorable]
    pub previous_broker_epoch: i64,
}

/// One of [`BrokerRegistrationRequest::listeners`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: i16,
}

/// One of [`BrokerRegistrationRequest::features`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Feature {
    pub name: String,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}

/// Answers [`BrokerRegistrationRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 0..)]
pub struct BrokerRegistrationResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(-1)]
    pub broker_epoch: i64,
}
