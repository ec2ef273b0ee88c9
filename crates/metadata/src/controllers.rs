//! The controllers that have registered with the active one.

use kalda_model::{BrokerId, Uuid};
use kalda_protocol::stored::metadata::RegisterControllerRecord;

use crate::brokers::{Endpoint, SupportedFeature};

/// One life of a controller, as the active controller recorded it (KIP-919).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControllerRegistration {
    /// The controller's `node.id`.
    pub id: BrokerId,
    /// Drawn anew at every start of the process.
    pub incarnation_id: Uuid,
    /// Its advertised listeners.
    pub endpoints: Vec<Endpoint>,
    /// What its binary supports.
    pub features: Vec<SupportedFeature>,
}

impl ControllerRegistration {
    /// The endpoint of the listener named `listener`.
    #[must_use]
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }

    /// The record from which this registration can be replayed.
    #[must_use]
    pub fn to_record(&self) -> RegisterControllerRecord {
        RegisterControllerRecord {
            controller_id: self.id.0,
            incarnation_id: self.incarnation_id,
            // Nothing migrates from ZooKeeper here.
            zk_migration_ready: false,
            end_points: self.endpoints.iter().map(Into::into).collect(),
            features: self.features.iter().map(Into::into).collect(),
        }
    }
}

impl From<&RegisterControllerRecord> for ControllerRegistration {
    fn from(record: &RegisterControllerRecord) -> Self {
        Self {
            id: BrokerId(record.controller_id),
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(Into::into).collect(),
            features: record.features.iter().map(Into::into).collect(),
        }
    }
}
