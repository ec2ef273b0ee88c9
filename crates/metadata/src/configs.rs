//! The settings that were altered at run time, per resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use kalda_model::BrokerId;
use kalda_protocol::stored::metadata::ConfigRecord;

/// What a setting belongs to, by the number it has on the wire (`ConfigResource.Type`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(i8)]
pub enum ResourceType {
    /// A topic, by name.
    Topic = 2,
    /// A broker, by id; the empty name is the default of all brokers.
    Broker = 4,
    /// The log levels of a broker.
    BrokerLogger = 8,
    /// A subscription to client metrics, by name.
    ClientMetrics = 16,
    /// A consumer or share group, by name.
    Group = 32,
}

impl ResourceType {
    /// The type with this number.
    #[must_use]
    pub fn from_wire(number: i8) -> Option<Self> {
        [Self::Topic, Self::Broker, Self::BrokerLogger, Self::ClientMetrics, Self::Group]
            .into_iter()
            .find(|kind| *kind as i8 == number)
    }
}

/// A thing that has settings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigResource {
    /// What kind of thing.
    pub kind: ResourceType,
    /// Which one.
    pub name: Arc<str>,
}

impl ConfigResource {
    /// A topic.
    #[must_use]
    pub fn topic(name: &str) -> Self {
        Self { kind: ResourceType::Topic, name: name.into() }
    }

    /// One broker.
    #[must_use]
    pub fn broker(id: BrokerId) -> Self {
        Self { kind: ResourceType::Broker, name: id.to_string().into() }
    }

    /// The default of all brokers of the cluster.
    #[must_use]
    pub fn broker_default() -> Self {
        Self { kind: ResourceType::Broker, name: "".into() }
    }
}

/// The settings of one resource, by name.
pub type ConfigMap = BTreeMap<String, String>;

/// All altered settings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConfigsImage {
    by_resource: BTreeMap<ConfigResource, Arc<ConfigMap>>,
}

impl ConfigsImage {
    /// The settings that were altered on `resource`.
    #[must_use]
    pub fn of(&self, resource: &ConfigResource) -> Option<&Arc<ConfigMap>> {
        self.by_resource.get(resource)
    }

    /// One setting of `resource`.
    #[must_use]
    pub fn value(&self, resource: &ConfigResource, name: &str) -> Option<&str> {
        self.by_resource.get(resource)?.get(name).map(String::as_str)
    }

    /// Every resource that has settings.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigMap>)> {
        self.by_resource.iter()
    }

    pub(crate) fn replay(&mut self, resource: &ConfigResource, record: &ConfigRecord) {
        let map = Arc::make_mut(self.by_resource.entry(resource.clone()).or_default());
        match &record.value {
            Some(value) => map.insert(record.name.clone(), value.clone()),
            None => map.remove(&record.name),
        };
        if map.is_empty() {
            self.by_resource.remove(resource);
        }
    }

    pub(crate) fn remove_resource(&mut self, resource: &ConfigResource) {
        self.by_resource.remove(resource);
    }
}
