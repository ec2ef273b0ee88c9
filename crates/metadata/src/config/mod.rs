//! Every setting that Kafka knows, with its type, default, limits and meaning, and the rules by
//! which a value is found among topic, dynamic, static and default settings.
//!
//! Called by the controller (is this value legal?) and the broker (what applies, and why?).

mod key;
mod keys;
mod min_insync_replicas;
mod resolve;

pub use key::{ConfigKey, ConfigType, InvalidConfig, UpdateMode, Valid};
pub use keys::{broker_keys, client_metrics_keys, group_keys, throttle_keys, topic_keys};
pub use min_insync_replicas::{MIN_INSYNC_REPLICAS, MinInsyncReplicas};
pub use resolve::{ConfigSource, ConfigSources, Resolved, Synonym};

/// The topic setting named `name`.
#[must_use]
pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    find(topic_keys(), name)
}

/// The broker setting named `name`, throttles included.
#[must_use]
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    find(broker_keys(), name).or_else(|| find(throttle_keys(), name))
}

/// The group setting named `name`.
#[must_use]
pub fn group_key(name: &str) -> Option<&'static ConfigKey> {
    find(group_keys(), name)
}

/// The client-metrics setting named `name`.
#[must_use]
pub fn client_metrics_key(name: &str) -> Option<&'static ConfigKey> {
    find(client_metrics_keys(), name)
}

/// The tables are in the order of their names.
fn find(keys: &'static [ConfigKey], name: &str) -> Option<&'static ConfigKey> {
    keys.binary_search_by(|key| key.name.cmp(name)).ok().map(|index| &keys[index])
}

#[cfg(test)]
mod tests;
