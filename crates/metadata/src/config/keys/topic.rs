//! The settings of a topic (`TopicConfig`).
//!
//! Names, types, defaults and limits are Kafka 4.1's; the sentences are this project's.
//! Read through `super`; nothing here decides anything.

use super::topic;
use crate::config::ConfigKey;
use crate::config::ConfigType::{Boolean, Double, Int, List, Long, String};
use crate::config::Valid::{Any, AtLeast, Between, Fraction, Level, ListOf, OneOf};

#[rustfmt::skip]
pub(super) static KEYS: &[ConfigKey] = &[
    topic("cleanup.policy", List, Some("delete"), ListOf(&["compact", "delete"]), &[("log.cleanup.policy", 1)], ""),
    topic("compression.gzip.level", Int, Some("-1"), Level(&[-1], 1, 9), &[("compression.gzip.level", 1)], ""),
    topic("compression.lz4.level", Int, Some("9"), Between(1, 17), &[("compression.lz4.level", 1)], ""),
    topic("compression.type", String, Some("producer"), Any, &[("compression.type", 1)], ""),
    topic("compression.zstd.level", Int, Some("3"), Between(-131072, 22), &[("compression.zstd.level", 1)], ""),
    topic("delete.retention.ms", Long, Some("86400000"), AtLeast(0), &[("log.cleaner.delete.retention.ms", 1)], ""),
    topic("file.delete.delay.ms", Long, Some("60000"), AtLeast(0), &[("log.segment.delete.delay.ms", 1)], ""),
    topic("flush.messages", Long, Some("9223372036854775807"), AtLeast(1), &[("log.flush.interval.messages", 1)], ""),
    topic("flush.ms", Long, Some("9223372036854775807"), AtLeast(0), &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)], ""),
    topic("follower.replication.throttled.replicas", List, Some(""), Any, &[], ""),
    topic("index.interval.bytes", Int, Some("4096"), AtLeast(0), &[("log.index.interval.bytes", 1)], ""),
    topic("leader.replication.throttled.replicas", List, Some(""), Any, &[], ""),
    topic("local.retention.bytes", Long, Some("-2"), AtLeast(-2), &[("log.local.retention.bytes", 1)], ""),
    topic("local.retention.ms", Long, Some("-2"), AtLeast(-2), &[("log.local.retention.ms", 1)], ""),
    topic("max.compaction.lag.ms", Long, Some("9223372036854775807"), AtLeast(1), &[("log.cleaner.max.compaction.lag.ms", 1)], ""),
    topic("max.message.bytes", Int, Some("1048588"), AtLeast(0), &[("message.max.bytes", 1)], ""),
    topic("message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0), &[("log.message.timestamp.after.max.ms", 1)], ""),
    topic("message.timestamp.before.max.ms", Long, Some("9223372036854775807"), AtLeast(0), &[("log.message.timestamp.before.max.ms", 1)], ""),
    topic("message.timestamp.type", String, Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), &[("log.message.timestamp.type", 1)], ""),
    topic("min.cleanable.dirty.ratio", Double, Some("0.5"), Fraction(0.0, 1.0), &[("log.cleaner.min.cleanable.ratio", 1)], ""),
    topic("min.compaction.lag.ms", Long, Some("0"), AtLeast(0), &[("log.cleaner.min.compaction.lag.ms", 1)], ""),
    topic("min.insync.replicas", Int, Some("1"), AtLeast(1), &[("min.insync.replicas", 1)], ""),
    topic("preallocate", Boolean, Some("false"), Any, &[("log.preallocate", 1)], ""),
    topic("remote.log.copy.disable", Boolean, Some("false"), Any, &[], ""),
    topic("remote.log.delete.on.disable", Boolean, Some("false"), Any, &[], ""),
    topic("remote.storage.enable", Boolean, Some("false"), Any, &[], ""),
    topic("retention.bytes", Long, Some("-1"), Any, &[("log.retention.bytes", 1)], ""),
    topic("retention.ms", Long, Some("604800000"), AtLeast(-1), &[("log.retention.ms", 1), ("log.retention.minutes", 60000), ("log.retention.hours", 3600000)], ""),
    topic("segment.bytes", Int, Some("1073741824"), AtLeast(1048576), &[("log.segment.bytes", 1)], ""),
    topic("segment.index.bytes", Int, Some("10485760"), AtLeast(4), &[("log.index.size.max.bytes", 1)], ""),
    topic("segment.jitter.ms", Long, Some("0"), AtLeast(0), &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3600000)], ""),
    topic("segment.ms", Long, Some("604800000"), AtLeast(1), &[("log.roll.ms", 1), ("log.roll.hours", 3600000)], ""),
    topic("unclean.leader.election.enable", Boolean, Some("false"), Any, &[("unclean.leader.election.enable", 1)], ""),
];
