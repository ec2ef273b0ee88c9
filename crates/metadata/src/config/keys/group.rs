//! The settings of a group (`GroupConfig`).
//!
//! Names, types, defaults and limits are Kafka 4.1's; the sentences are this project's.
//! Read through `super`; nothing here decides anything.

use super::topic;
use crate::config::ConfigKey;
use crate::config::ConfigType::{Int, String};
use crate::config::Valid::{Any, AtLeast, OneOf};

#[rustfmt::skip]
pub(super) static KEYS: &[ConfigKey] = &[
    topic("consumer.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &[], ""),
    topic("consumer.session.timeout.ms", Int, Some("45000"), AtLeast(1), &[], ""),
    topic("share.auto.offset.reset", String, Some("latest"), Any, &[], ""),
    topic("share.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &[], ""),
    topic("share.isolation.level", String, Some("read_uncommitted"), OneOf(&["read_committed", "read_uncommitted"]), &[], ""),
    topic("share.record.lock.duration.ms", Int, Some("30000"), AtLeast(1000), &[], ""),
    topic("share.session.timeout.ms", Int, Some("45000"), AtLeast(1), &[], ""),
    topic("streams.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &[], ""),
    topic("streams.num.standby.replicas", Int, Some("0"), AtLeast(0), &[], ""),
    topic("streams.session.timeout.ms", Int, Some("45000"), AtLeast(1), &[], ""),
];
