//! The tables of all settings, one file for each kind of resource.

mod broker;
mod client_metrics;
mod group;
mod topic;

use crate::config::{ConfigKey, ConfigType, UpdateMode, Valid};

/// Every setting of a topic, by name.
#[must_use]
pub fn topic_keys() -> &'static [ConfigKey] {
    topic::KEYS
}

/// Every setting of a broker, by name.
#[must_use]
pub fn broker_keys() -> &'static [ConfigKey] {
    broker::KEYS
}

/// The throttles of a broker that tools set while they move partitions, by name.
#[must_use]
pub fn throttle_keys() -> &'static [ConfigKey] {
    broker::THROTTLES
}

/// Every setting of a group, by name.
#[must_use]
pub fn group_keys() -> &'static [ConfigKey] {
    group::KEYS
}

/// Every setting of a client-metrics subscription, by name.
#[must_use]
pub fn client_metrics_keys() -> &'static [ConfigKey] {
    client_metrics::KEYS
}

const fn topic(
    name: &'static str,
    kind: ConfigType,
    default: Option<&'static str>,
    valid: Valid,
    synonyms: &'static [(&'static str, i64)],
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default, valid, update: UpdateMode::ClusterWide, synonyms, doc }
}

const fn broker(
    name: &'static str,
    kind: ConfigType,
    default: Option<&'static str>,
    valid: Valid,
    update: UpdateMode,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default, valid, update, synonyms: &[], doc }
}
