//! RegisterControllerRecord (metadata record 27, versions 0): a controller has registered
//! (KIP-919).

use kalda_model::Uuid;

use super::register_broker::{BrokerEndpoint, BrokerFeature};
use crate::Message;

/// A controller has registered (KIP-919).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RegisterControllerRecord {
    pub controller_id: i32,
    pub incarnation_id: Uuid,
    pub zk_migration_ready: bool,
    pub end_points: Vec<BrokerEndpoint>,
    pub features: Vec<BrokerFeature>,
}
