//! BrokerRegistration (key 62, versions 0–4, flexible from 0): registers a starting broker with the
//! controller, which hands it a broker epoch (KIP-631).
//!
//! - v1: request adds `is_migrating_zk_broker`.
//! - v2: request adds `log_dirs`.
//! - v3: request adds `previous_broker_epoch`.
//! - v4: same layout; may register features whose minimum is 0 (KAFKA-17011).

use kalda_model::Uuid;

use crate::Message;

/// The broker with listeners, features and directories.
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

/// The broker epoch.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 0..)]
pub struct BrokerRegistrationResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(-1)]
    pub broker_epoch: i64,
}
