//! Which value applies, and where it comes from.

use std::collections::BTreeMap;

use kalda_model::BrokerId;

use crate::config::{ConfigKey, MIN_INSYNC_REPLICAS, MinInsyncReplicas, UpdateMode, broker_key};
use crate::configs::{ConfigMap, ConfigResource, ConfigsImage};

/// Where a value comes from, by its number on the wire (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic = 1,
    /// Set at run time on this broker.
    DynamicBroker = 2,
    /// Set at run time for all brokers.
    DynamicDefaultBroker = 3,
    /// Set in the file or on the command line.
    StaticBroker = 4,
    /// Set nowhere.
    Default = 5,
    /// A log level set at run time.
    DynamicBrokerLogger = 6,
    /// Set on a client-metrics subscription.
    ClientMetrics = 7,
    /// Set on a group.
    Group = 8,
}

/// One of the settings that were looked at, in order of precedence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// The name it was found under.
    pub name: &'static str,
    /// Its value there.
    pub value: Option<String>,
    /// Where it was found.
    pub source: ConfigSource,
}

/// A setting with the value that applies.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The setting.
    pub key: &'static ConfigKey,
    /// The value that applies.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// All that were looked at, the winner first.
    pub synonyms: Vec<Synonym>,
}

/// The places where a broker finds its settings.
#[derive(Clone, Copy, Debug)]
pub struct ConfigSources<'a> {
    /// What was altered at run time.
    pub dynamic: &'a ConfigsImage,
    /// The broker whose view this is.
    pub broker: BrokerId,
    /// What the file and the command line say.
    pub static_config: &'a BTreeMap<String, String>,
}

impl ConfigSources<'_> {
    /// A setting of a topic whose overrides are `overrides`.
    #[must_use]
    pub fn topic(&self, key: &'static ConfigKey, overrides: Option<&ConfigMap>) -> Resolved {
        let mut synonyms = Vec::new();
        let own = overrides.and_then(|map| map.get(key.name));
        let mut value = own.cloned();
        if let Some(own) = own {
            synonyms.push(Synonym {
                name: key.name,
                value: Some(own.clone()),
                source: ConfigSource::DynamicTopic,
            });
        }
        let fallbacks = self.broker_synonyms(key.synonyms.iter().map(|(name, _)| *name));
        if value.is_none() {
            value = fallbacks.iter().find_map(|found| scaled(key, found));
        }
        synonyms.extend(fallbacks);
        let value = value.or_else(|| key.default.map(str::to_owned));
        let source = synonyms.first().map_or(ConfigSource::Default, |first| first.source);
        Resolved { key, value, source, synonyms }
    }

    /// A setting of a topic whose partitions have `replication_factor` replicas:
    /// `min.insync.replicas` is another for many than for few when nobody set it.
    #[must_use]
    pub fn topic_with(
        &self,
        key: &'static ConfigKey,
        overrides: Option<&ConfigMap>,
        replication_factor: usize,
    ) -> Resolved {
        let mut resolved = self.topic(key, overrides);
        if key.name == MIN_INSYNC_REPLICAS && resolved.source == ConfigSource::Default {
            let unset = MinInsyncReplicas::default();
            resolved.value = Some(unset.configured(replication_factor).to_string());
        }
        resolved
    }

    /// A setting of this broker.
    #[must_use]
    pub fn broker(&self, key: &'static ConfigKey) -> Resolved {
        let synonyms = self.broker_synonyms(std::iter::once(key.name));
        let first = synonyms.first();
        Resolved {
            key,
            value: first.and_then(|first| first.value.clone()),
            source: first.map_or(ConfigSource::Default, |first| first.source),
            synonyms,
        }
    }

    /// Whether anyone set the topic setting `key`, on the topic or on the broker.
    #[must_use]
    pub fn topic_is_set(&self, key: &'static ConfigKey, overrides: Option<&ConfigMap>) -> bool {
        self.topic(key, overrides).source != ConfigSource::Default
    }

    fn broker_synonyms(&self, names: impl Iterator<Item = &'static str> + Clone) -> Vec<Synonym> {
        let own = self.dynamic.of(&ConfigResource::broker(self.broker));
        let all = self.dynamic.of(&ConfigResource::broker_default());
        let mut found = Vec::new();
        let mut collect = |source, value_of: &dyn Fn(&'static str) -> Option<Option<String>>| {
            for name in names.clone() {
                if let Some(value) = value_of(name) {
                    found.push(Synonym { name, value, source });
                }
            }
        };
        let dynamic = |map: Option<&ConfigMap>, name: &str| map?.get(name).cloned().map(Some);
        collect(ConfigSource::DynamicBroker, &|name| dynamic(own.map(AsRef::as_ref), name));
        collect(ConfigSource::DynamicDefaultBroker, &|name| dynamic(all.map(AsRef::as_ref), name));
        collect(ConfigSource::StaticBroker, &|name| {
            self.static_config.get(name).cloned().map(Some)
        });
        collect(ConfigSource::Default, &|name| {
            broker_key(name)?.default.map(|default| Some(default.to_owned()))
        });
        found
    }
}

/// The value of a broker setting in the unit of the topic setting that falls back to it.
fn scaled(key: &ConfigKey, found: &Synonym) -> Option<String> {
    let value = found.value.as_ref()?;
    let (_, factor) = key.synonyms.iter().find(|(name, _)| *name == found.name)?;
    match (factor, value.parse::<i64>()) {
        (1, _) | (_, Err(_)) => Some(value.clone()),
        // Below zero means "without limit" in any unit.
        (_, Ok(number)) if number < 0 => Some(value.clone()),
        (factor, Ok(number)) => Some(number.saturating_mul(*factor).to_string()),
    }
}

impl ConfigKey {
    /// Whether a broker setting can be altered at run time at all.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.update != UpdateMode::ReadOnly
    }
}
