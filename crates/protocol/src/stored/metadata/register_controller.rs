//! RegisterControllerRecord (metadata record 27, versions 0): a controller has registered
//! (KIP-919).

use kalda_model::Uuid;

use crate::Message;

/// A controller has registered (KIP-919).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RegisterControllerRecord {
    pub controller_id: i32,
    pub incarnation_id: Uuid,
    pub zk_migration_ready: bool,
    pub end_points: Vec<ControllerEndpoint>,
    pub features: Vec<ControllerFeature>,
}

/// One of [`RegisterControllerRecord::end_points`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ControllerEndpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: i16,
}

/// One of [`RegisterControllerRecord::features`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ControllerFeature {
    pub name: String,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}
