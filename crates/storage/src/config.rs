//! The settings of one partition's log, with Kafka's defaults. The server makes them from topic and
//! broker configs; the log only obeys.

use kalda_records::{BatchRules, CompressionType, TimestampType};

/// A ratio of one: ratios are counted in millionths.
pub const RATIO_ONE: u32 = 1_000_000;

/// What happens to old data (`cleanup.policy`); both may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// Old segments go.
    pub delete: bool,
    /// Only the last record of each key stays.
    pub compact: bool,
}

/// Settings, named as the topic configs are. Sizes in bytes, times in ms; -1 means "no limit" where
/// Kafka says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// What is taken off `segment_ms` for this log: the caller draws it below `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u64,
    /// `retention.ms`; -1 keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; -1 keeps everything.
    pub retention_bytes: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: usize,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// Whether its owner is content with records that are in the page cache.
    pub is_relaxed: bool,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, in parts of [`RATIO_ONE`].
    pub min_cleanable_dirty_ratio: u32,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `compression.type`.
    pub compression: CompressionType,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `preallocate`: accepted; segments grow as they are written.
    pub preallocate: bool,
    /// `producer.id.expiration.ms` of the broker.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        const DAY_MS: i64 = 86_400_000;
        Self {
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * DAY_MS,
            retention_bytes: -1,
            max_message_bytes: 1_048_588,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            is_relaxed: false,
            delete_retention_ms: DAY_MS,
            file_delete_delay_ms: 60_000,
            min_compaction_lag_ms: 0,
            min_cleanable_dirty_ratio: RATIO_ONE / 2,
            max_compaction_lag_ms: i64::MAX,
            compression: CompressionType::Producer,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            preallocate: false,
            producer_id_expiration_ms: DAY_MS,
        }
    }
}

impl LogConfig {
    /// The rules for a batch that is to be appended now.
    #[must_use]
    pub fn batch_rules(&self, now_ms: i64) -> BatchRules {
        BatchRules {
            max_message_bytes: self.max_message_bytes,
            timestamp_type: self.timestamp_type,
            timestamp_before_max_ms: self.timestamp_before_max_ms,
            timestamp_after_max_ms: self.timestamp_after_max_ms,
            now_ms,
            compression: self.compression,
            is_compacted: self.cleanup_policy.compact,
            ..BatchRules::default()
        }
    }
}
