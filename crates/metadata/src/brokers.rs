//! The brokers that have registered with the controller.

use kalda_model::{BrokerEpoch, BrokerId, DirectoryId, Uuid};
use kalda_protocol::stored::metadata::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChangeRecord, RegisterBrokerRecord,
};

/// Where one listener of a broker can be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The listener's name, such as `PLAINTEXT`.
    pub listener: String,
    /// The host that clients dial.
    pub host: String,
    /// The port that clients dial.
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The levels of one feature that a broker's binary can run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SupportedFeature {
    /// The feature's name, such as `metadata.version`.
    pub name: String,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

impl From<&BrokerEndpoint> for Endpoint {
    fn from(record: &BrokerEndpoint) -> Self {
        Self {
            listener: record.name.clone(),
            host: record.host.clone(),
            port: record.port,
            security_protocol: record.security_protocol,
        }
    }
}

impl From<&Endpoint> for BrokerEndpoint {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            name: endpoint.listener.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        }
    }
}

impl From<&BrokerFeature> for SupportedFeature {
    fn from(record: &BrokerFeature) -> Self {
        Self {
            name: record.name.clone(),
            min: record.min_supported_version,
            max: record.max_supported_version,
        }
    }
}

impl From<&SupportedFeature> for BrokerFeature {
    fn from(feature: &SupportedFeature) -> Self {
        Self {
            name: feature.name.clone(),
            min_supported_version: feature.min,
            max_supported_version: feature.max,
        }
    }
}

/// One life of a broker, as the controller recorded it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerRegistration {
    /// The broker's `node.id`.
    pub id: BrokerId,
    /// Drawn anew at every start of the process.
    pub incarnation_id: Uuid,
    /// The offset of the registration record: fences requests of former lives.
    pub epoch: BrokerEpoch,
    /// Its advertised listeners.
    pub endpoints: Vec<Endpoint>,
    /// What its binary supports.
    pub features: Vec<SupportedFeature>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// A fenced broker leads nothing and is not shown to clients.
    pub fenced: bool,
    /// It asked to be shut down and is losing its leaderships.
    pub in_controlled_shutdown: bool,
    /// The ids of its log directories.
    pub log_dirs: Vec<DirectoryId>,
}

impl BrokerRegistration {
    /// The endpoint of the listener named `listener`.
    #[must_use]
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }

    /// Whether it may lead and be in sync: neither fenced nor about to stop.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether a replica in `directory` can be served (`DirectoryId.isOnline`). What is not assigned
    /// yet may be anywhere; a lost directory is nowhere.
    #[must_use]
    pub fn has_online(&self, directory: DirectoryId) -> bool {
        match directory {
            Uuid::ZERO | Uuid::ONE => true,
            Uuid::LOST_DIRECTORY => false,
            _ => self.log_dirs.is_empty() || self.log_dirs.contains(&directory),
        }
    }

    /// The registration with `change` applied.
    #[must_use]
    pub fn changed_by(&self, change: &BrokerRegistrationChangeRecord) -> Self {
        let flag = |now: bool, change: i8| match change {
            0 => now,
            change => change > 0,
        };
        let mut changed = self.clone();
        changed.fenced = flag(self.fenced, change.fenced);
        changed.in_controlled_shutdown =
            flag(self.in_controlled_shutdown, change.in_controlled_shutdown);
        if !change.log_dirs.is_empty() {
            changed.log_dirs.clone_from(&change.log_dirs);
        }
        changed
    }

    /// The record from which this registration can be replayed.
    #[must_use]
    pub fn to_record(&self) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id: self.id.0,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch.0,
            end_points: self.endpoints.iter().map(Into::into).collect(),
            features: self.features.iter().map(Into::into).collect(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.log_dirs.clone(),
            ..RegisterBrokerRecord::default()
        }
    }
}

impl From<&RegisterBrokerRecord> for BrokerRegistration {
    fn from(record: &RegisterBrokerRecord) -> Self {
        Self {
            id: BrokerId(record.broker_id),
            incarnation_id: record.incarnation_id,
            epoch: BrokerEpoch(record.broker_epoch),
            endpoints: record.end_points.iter().map(Into::into).collect(),
            features: record.features.iter().map(Into::into).collect(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
        }
    }
}
