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
    topic("consumer.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &[], "Heartbeat interval given to the members of this consumer group."),
    topic("consumer.session.timeout.ms", Int, Some("45000"), AtLeast(1), &[], "Silence after which a member of this consumer group is removed."),
    topic("share.auto.offset.reset", String, Some("latest"), Any, &[], "Where a share group starts on a partition it has not seen: earliest, latest or an age."),
    topic("share.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &[], "Heartbeat interval given to the members of this share group."),
    topic("share.isolation.level", String, Some("read_uncommitted"), OneOf(&["read_committed", "read_uncommitted"]), &[], "Whether this share group sees records of transactions that are not committed."),
    topic("share.record.lock.duration.ms", Int, Some("30000"), AtLeast(1000), &[], "How long a record handed to a member of this share group stays locked for it."),
    topic("share.session.timeout.ms", Int, Some("45000"), AtLeast(1), &[], "Silence after which a member of this share group is removed."),
    topic("streams.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &[], "Heartbeat interval given to the members of this streams group."),
    topic("streams.num.standby.replicas", Int, Some("0"), AtLeast(0), &[], "Standby copies kept per task of this streams group."),
    topic("streams.session.timeout.ms", Int, Some("45000"), AtLeast(1), &[], "Silence after which a member of this streams group is removed."),
];
