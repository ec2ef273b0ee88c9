//! `min.insync.replicas`: how many replicas must hold a write, and what applies when nobody says.
//!
//! Asked by the controller, which keeps eligible leader replicas by it, and by the leader of a
//! partition, which refuses writes and holds back the high watermark by it. Both must come to the
//! same number, so both ask here.

use crate::config::{ConfigSource, ConfigSources, topic_key};
use crate::configs::ConfigMap;

/// The setting's name, on topics and on brokers.
pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// From how many replicas on two must hold a write when nobody set the number.
const FACTOR_FOR_TWO: usize = 3;

/// What was set for a topic, if anything was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MinInsyncReplicas {
    set: Option<usize>,
}

impl MinInsyncReplicas {
    /// What holds for a topic whose overrides are `overrides`.
    #[must_use]
    pub fn resolve(sources: &ConfigSources<'_>, overrides: Option<&ConfigMap>) -> Self {
        let key = topic_key(MIN_INSYNC_REPLICAS).expect("the key is in the table");
        let resolved = sources.topic(key, overrides);
        let is_set = resolved.source != ConfigSource::Default;
        Self::from_value(resolved.value.as_deref().filter(|_| is_set))
    }

    /// Set to `value`; not set when there is none.
    #[must_use]
    pub fn from_value(value: Option<&str>) -> Self {
        Self { set: value.and_then(|value| value.trim().parse().ok()) }
    }

    /// The number for a partition with this many replicas: what was set, else two of three or more
    /// and one of fewer.
    #[must_use]
    pub fn configured(self, replication_factor: usize) -> usize {
        self.set.unwrap_or(if replication_factor >= FACTOR_FOR_TWO { 2 } else { 1 })
    }

    /// [`Self::configured`], but never more than there are replicas.
    #[must_use]
    pub fn effective(self, replication_factor: usize) -> usize {
        self.configured(replication_factor).min(replication_factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_three_unless_someone_says_otherwise() {
        let unset = MinInsyncReplicas::from_value(None);
        let effective = [1, 2, 3, 5].map(|factor| unset.effective(factor));
        assert_eq!(effective, [1, 1, 2, 2]);
        let set = MinInsyncReplicas::from_value(Some("3"));
        assert_eq!([1, 2, 3, 5].map(|factor| set.effective(factor)), [1, 2, 3, 3]);
        assert_eq!(set.configured(1), 3);
        assert_eq!(MinInsyncReplicas::from_value(Some("1")).effective(3), 1);
    }
}
