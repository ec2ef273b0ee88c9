//! The settings of a topic (`TopicConfig`).
//!
//! Names, types, defaults and limits are Kafka 4.1's; the sentences are this project's.
//! Read through `super`; nothing here decides anything.

use super::topic;
use crate::config::ConfigKey;
use crate::config::ConfigType::{Boolean, Double, Int, List, Long, String};
use crate::config::Valid::{Any, AtLeast, Between, Fraction, Level, ListOf, OneOf, Replicas};

#[rustfmt::skip]
pub(super) static KEYS: &[ConfigKey] = &[
    topic("cleanup.policy", List, Some("delete"), ListOf(&["compact", "delete"]), &[("log.cleanup.policy", 1)], "What happens to old segments of this topic: delete, compact, or both."),
    topic("compression.gzip.level", Int, Some("-1"), Level(&[-1], 1, 9), &[("compression.gzip.level", 1)], "Effort gzip spends when the broker recompresses this topic; -1 leaves it to the codec."),
    topic("compression.lz4.level", Int, Some("9"), Between(1, 17), &[("compression.lz4.level", 1)], "Effort lz4 spends when the broker recompresses this topic."),
    topic("compression.type", String, Some("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), &[("compression.type", 1)], "Codec in which this topic's batches are stored; producer keeps the producer's choice."),
    topic("compression.zstd.level", Int, Some("3"), Between(-131072, 22), &[("compression.zstd.level", 1)], "Effort zstd spends when the broker recompresses this topic."),
    topic("delete.retention.ms", Long, Some("86400000"), AtLeast(0), &[("log.cleaner.delete.retention.ms", 1)], "How long tombstones stay in a compacted topic so that readers can see them."),
    topic("file.delete.delay.ms", Long, Some("60000"), AtLeast(0), &[("log.segment.delete.delay.ms", 1)], "Wait between dropping a segment from the log and removing its files."),
    topic("flush.messages", Long, Some("9223372036854775807"), AtLeast(1), &[("log.flush.interval.messages", 1)], "Messages after which this topic is flushed to disk."),
    topic("flush.ms", Long, Some("9223372036854775807"), AtLeast(0), &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)], "Time after which this topic is flushed to disk."),
    topic("follower.replication.throttled.replicas", List, Some(""), Replicas, &[], "Replicas whose copying is throttled on the follower, as partition:broker pairs or *."),
    topic("index.interval.bytes", Int, Some("4096"), AtLeast(0), &[("log.index.interval.bytes", 1)], "Bytes of log between two entries of the offset index."),
    topic("leader.replication.throttled.replicas", List, Some(""), Replicas, &[], "Replicas whose copying is throttled on the leader, as partition:broker pairs or *."),
    topic("local.retention.bytes", Long, Some("-2"), AtLeast(-2), &[("log.local.retention.bytes", 1)], "Bytes per partition kept on local disk with tiering; -2 follows retention.bytes."),
    topic("local.retention.ms", Long, Some("-2"), AtLeast(-2), &[("log.local.retention.ms", 1)], "Age kept on local disk with tiering; -2 follows retention.ms."),
    topic("max.compaction.lag.ms", Long, Some("9223372036854775807"), AtLeast(1), &[("log.cleaner.max.compaction.lag.ms", 1)], "Longest time a record may stay out of reach of compaction."),
    topic("max.message.bytes", Int, Some("1048588"), AtLeast(0), &[("message.max.bytes", 1)], "Largest batch this topic accepts, counted as it arrives (compressed)."),
    topic("message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0), &[("log.message.timestamp.after.max.ms", 1)], "How far in the future of the broker's clock a record's timestamp may lie."),
    topic("message.timestamp.before.max.ms", Long, Some("9223372036854775807"), AtLeast(0), &[("log.message.timestamp.before.max.ms", 1)], "How far in the past of the broker's clock a record's timestamp may lie."),
    topic("message.timestamp.type", String, Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), &[("log.message.timestamp.type", 1)], "Whether records carry the producer's time or the time of their append."),
    topic("min.cleanable.dirty.ratio", Double, Some("0.5"), Fraction(0.0, 1.0), &[("log.cleaner.min.cleanable.ratio", 1)], "Share of the log that must be dirty before compaction considers it."),
    topic("min.compaction.lag.ms", Long, Some("0"), AtLeast(0), &[("log.cleaner.min.compaction.lag.ms", 1)], "Age a record must reach before it may be compacted away."),
    topic("min.insync.replicas", Int, Some("1"), AtLeast(1), &[("min.insync.replicas", 1)], "Replicas that must hold a write before acks=all is answered with success."),
    topic("preallocate", Boolean, Some("false"), Any, &[("log.preallocate", 1)], "Whether a new segment file is created at its full size."),
    topic("remote.log.copy.disable", Boolean, Some("false"), Any, &[], "Whether copying to remote storage is stopped while what lies there stays readable."),
    topic("remote.log.delete.on.disable", Boolean, Some("false"), Any, &[], "Whether remote data is deleted when tiering is turned off for this topic."),
    topic("remote.storage.enable", Boolean, Some("false"), Any, &[], "Whether this topic is tiered to remote storage."),
    topic("retention.bytes", Long, Some("-1"), Any, &[("log.retention.bytes", 1)], "Bytes per partition past which old segments are deleted; -1 sets no bound."),
    topic("retention.ms", Long, Some("604800000"), AtLeast(-1), &[("log.retention.ms", 1), ("log.retention.minutes", 60000), ("log.retention.hours", 3600000)], "Age past which old segments are deleted; -1 keeps them for ever."),
    topic("segment.bytes", Int, Some("1073741824"), AtLeast(1048576), &[("log.segment.bytes", 1)], "Size at which the active segment is rolled."),
    topic("segment.index.bytes", Int, Some("10485760"), AtLeast(4), &[("log.index.size.max.bytes", 1)], "Largest size of an offset index file; a full index rolls the segment."),
    topic("segment.jitter.ms", Long, Some("0"), AtLeast(0), &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3600000)], "Largest random share taken off segment.ms, so that segments do not roll together."),
    topic("segment.ms", Long, Some("604800000"), AtLeast(1), &[("log.roll.ms", 1), ("log.roll.hours", 3600000)], "Age at which the active segment is rolled even if it is not full."),
    topic("unclean.leader.election.enable", Boolean, Some("false"), Any, &[("unclean.leader.election.enable", 1)], "Whether a replica outside the ISR may lead when no other is left, at the cost of records."),
];
