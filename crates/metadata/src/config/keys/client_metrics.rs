//! The settings of a client-metrics subscription (`ClientMetricsConfigs`, KIP-714).
//!
//! Names, types, defaults and limits are Kafka 4.1's; the sentences are this project's.
//! Read through `super`; nothing here decides anything.

use super::topic;
use crate::config::ConfigKey;
use crate::config::ConfigType::{Int, List};
use crate::config::Valid::Any;

#[rustfmt::skip]
pub(super) static KEYS: &[ConfigKey] = &[
    topic("interval.ms", Int, Some("300000"), Any, &[], "How often matching clients push their metrics."),
    topic("match", List, Some(""), Any, &[], "Patterns a client must match to be asked, as name=regex pairs; empty matches all."),
    topic("metrics", List, Some(""), Any, &[], "Prefixes of the metrics asked for; empty asks for none, * for all."),
];
