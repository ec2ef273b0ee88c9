//! RegisterBrokerRecord (metadata record 0, versions 0–3): a broker has registered, with the epoch
//! it got.
//!
//! - v1: adds `in_controlled_shutdown`.
//! - v2: adds `is_migrating_zk_broker`.
//! - v3: adds `log_dirs`.

use kalda_model::Uuid;

use crate::Message;

/// A broker has registered, with the epoch it got.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=3, flexible = 0..)]
pub struct RegisterBrokerRecord {
    pub broker_id: i32,
    #[versions(2..)]
    pub is_migrating_zk_broker: bool,
    pub incarnation_id: Uuid,
    pub broker_epoch: i64,
    pub end_points: Vec<BrokerEndpoint>,
    pub features: Vec<BrokerFeature>,
    #[default(empty)]
    pub rack: Option<String>,
    #[default(true)]
    pub fenced: bool,
    #[versions(1..)]
    pub in_controlled_shutdown: bool,
    #[tag(0)]
    #[versions(3..)]
    pub log_dirs: Vec<Uuid>,
}

/// One of [`RegisterBrokerRecord::end_points`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct BrokerEndpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: i16,
}

/// One of [`RegisterBrokerRecord::features`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct BrokerFeature {
    pub name: String,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}
