//! What the settings of a topic mean for its logs.

use std::sync::Arc;

use kalda_metadata::Image;
use kalda_metadata::config::{ConfigKey, ConfigSources, MinInsyncReplicas, topic_key};
use kalda_metadata::{ConfigResource, config::ConfigSource};
use kalda_records::{Compression, CompressionType, TimestampType};
use kalda_replication::{Durability, Settings, ThrottledReplicas};
use kalda_storage::config::RATIO_ONE;
use kalda_storage::{CleanupPolicy, LogConfig};

/// The settings of one topic, shared by its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TopicSettings {
    pub(crate) log: Arc<LogConfig>,
    pub(crate) replication: Settings,
    /// Which partitions `leader.replication.throttled.rate` holds for on this broker.
    pub(crate) throttled_leaders: ThrottledReplicas,
    /// And `follower.replication.throttled.rate`.
    pub(crate) throttled_followers: ThrottledReplicas,
}

/// What the broker's own settings add to those of each topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BrokerWide {
    /// `producer.id.expiration.ms`.
    pub(crate) producer_id_expiration_ms: i64,
    /// `replica.lag.time.max.ms`.
    pub(crate) lag_time_max_ms: i64,
}

impl TopicSettings {
    /// The settings that hold for `topic` in `image`.
    pub(crate) fn resolve(
        image: &Image,
        sources: ConfigSources<'_>,
        topic: &str,
        wide: BrokerWide,
    ) -> Arc<Self> {
        let overrides = image.configs.of(&ConfigResource::topic(topic)).cloned();
        let partitions = image.topics.by_name(topic).map(|topic| topic.partitions.values());
        let factors = partitions.into_iter().flatten().map(|it| it.replication_factor());
        let replication_factor = factors.max().unwrap_or(1);
        let view = View { sources, overrides: overrides.as_deref() };
        let policy = view.text("cleanup.policy");
        let has = |word: &str| policy.split(',').any(|named| named.trim() == word);
        let compression = match view.text("compression.type").as_str() {
            "producer" => CompressionType::Producer,
            "uncompressed" => CompressionType::Codec { codec: Compression::None, level: None },
            name => match Compression::from_name(name) {
                Some(codec) => CompressionType::Codec { codec, level: view.level(codec) },
                None => CompressionType::Producer,
            },
        };
        let timestamp_type = match view.text("message.timestamp.type").as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        };
        let durability = view.durability();
        let log = LogConfig {
            is_relaxed: durability == Durability::PageCache,
            cleanup_policy: CleanupPolicy { delete: has("delete"), compact: has("compact") },
            segment_bytes: view.unsigned("segment.bytes"),
            segment_ms: view.number("segment.ms"),
            segment_jitter_ms: 0,
            segment_index_bytes: view.unsigned("segment.index.bytes"),
            index_interval_bytes: view.unsigned("index.interval.bytes"),
            retention_ms: view.number("retention.ms"),
            retention_bytes: view.number("retention.bytes"),
            max_message_bytes: usize::try_from(view.number("max.message.bytes")).unwrap_or(0),
            flush_messages: view.number("flush.messages"),
            flush_ms: view.number("flush.ms"),
            delete_retention_ms: view.number("delete.retention.ms"),
            file_delete_delay_ms: view.number("file.delete.delay.ms"),
            min_compaction_lag_ms: view.number("min.compaction.lag.ms"),
            min_cleanable_dirty_ratio: view.ratio("min.cleanable.dirty.ratio"),
            max_compaction_lag_ms: view.number("max.compaction.lag.ms"),
            compression,
            timestamp_type,
            timestamp_before_max_ms: view.number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: view.number("message.timestamp.after.max.ms"),
            preallocate: view.text("preallocate") == "true",
            producer_id_expiration_ms: wide.producer_id_expiration_ms,
        };
        let throttled = |name: &str| ThrottledReplicas::parse(&view.text(name), sources.broker);
        Arc::new(Self {
            throttled_leaders: throttled("leader.replication.throttled.replicas"),
            throttled_followers: throttled("follower.replication.throttled.replicas"),
            log: Arc::new(log),
            replication: Settings {
                durability,
                min_insync_replicas: MinInsyncReplicas::resolve(&sources, overrides.as_deref())
                    .configured(replication_factor),
                unclean_leader_election: view.text("unclean.leader.election.enable") == "true",
                lag_time_max_ms: wide.lag_time_max_ms,
            },
        })
    }
}

struct View<'a> {
    sources: ConfigSources<'a>,
    overrides: Option<&'a std::collections::BTreeMap<String, String>>,
}

impl View<'_> {
    /// Whoever sets `flush.messages` or `flush.ms`, on the topic or on the broker, wants Kafka's
    /// page-cache habit; `flush.messages=1` is the default said aloud.
    fn durability(&self) -> Durability {
        let is_set = |name: &str| {
            self.sources.topic(key(name), self.overrides).source != ConfigSource::Default
        };
        let relaxed = is_set("flush.messages") || is_set("flush.ms");
        if relaxed && self.number("flush.messages") > 1 {
            Durability::PageCache
        } else {
            Durability::Fsync
        }
    }

    fn level(&self, codec: Compression) -> Option<i32> {
        let name = match codec {
            Compression::Gzip => "compression.gzip.level",
            Compression::Lz4 => "compression.lz4.level",
            Compression::Zstd => "compression.zstd.level",
            Compression::None | Compression::Snappy => return None,
        };
        i32::try_from(self.number(name)).ok()
    }

    fn text(&self, name: &str) -> String {
        self.sources.topic(key(name), self.overrides).value.unwrap_or_default()
    }

    /// A number; settings are checked when they are made, so what does not parse is the default.
    fn number(&self, name: &str) -> i64 {
        let key = key(name);
        let default = || key.default.and_then(|value| value.parse().ok()).unwrap_or(-1);
        self.text(name).trim().parse().unwrap_or_else(|_| default())
    }

    /// A fraction of one, in parts of [`RATIO_ONE`].
    fn ratio(&self, name: &str) -> u32 {
        let of = |text: &str| text.trim().parse::<f64>().ok();
        let ratio = of(&self.text(name)).or_else(|| of(key(name).default?));
        (ratio.unwrap_or(1.0).clamp(0.0, 1.0) * f64::from(RATIO_ONE)) as u32
    }

    fn unsigned(&self, name: &str) -> u64 {
        u64::try_from(self.number(name)).unwrap_or(0)
    }
}

fn key(name: &str) -> &'static ConfigKey {
    topic_key(name).expect("the key is in the table")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kalda_model::BrokerId;

    use super::*;

    const WIDE: BrokerWide = BrokerWide { producer_id_expiration_ms: 1, lag_time_max_ms: 30_000 };

    fn resolve(static_config: &[(&str, &str)]) -> Arc<TopicSettings> {
        let image = Image::default();
        let static_config: BTreeMap<String, String> = static_config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let sources = ConfigSources {
            dynamic: &image.configs,
            broker: BrokerId(1),
            static_config: &static_config,
        };
        TopicSettings::resolve(&image, sources, "t", WIDE)
    }

    #[test]
    fn without_settings_everything_is_kafkas_default_but_acknowledged_means_durable() {
        let settings = resolve(&[]);
        let expected = LogConfig { producer_id_expiration_ms: 1, ..LogConfig::default() };
        assert_eq!(*settings.log, expected);
        assert_eq!(settings.replication.durability, Durability::Fsync);
        assert!(!settings.replication.unclean_leader_election);
    }

    #[test]
    fn flush_settings_choose_the_page_cache() {
        let of = |name, value| resolve(&[(name, value)]).replication.durability;
        assert_eq!(of("log.flush.interval.messages", "10000"), Durability::PageCache);
        assert_eq!(of("log.flush.interval.messages", "9223372036854775807"), Durability::PageCache);
        assert_eq!(of("log.flush.interval.ms", "1000"), Durability::PageCache);
        assert_eq!(of("log.flush.interval.messages", "1"), Durability::Fsync);
    }

    #[test]
    fn the_dirty_ratio_is_counted_in_millionths() {
        let of = |ratio| {
            resolve(&[("log.cleaner.min.cleanable.ratio", ratio)]).log.min_cleanable_dirty_ratio
        };
        assert_eq!((of("0"), of("0.25"), of("1.0")), (0, 250_000, 1_000_000));
    }

    #[test]
    fn hours_of_the_broker_are_milliseconds_of_the_topic() {
        assert_eq!(resolve(&[("log.retention.hours", "1")]).log.retention_ms, 3_600_000);
        let both = [("log.retention.hours", "1"), ("log.retention.ms", "5")];
        assert_eq!(resolve(&both).log.retention_ms, 5);
        assert_eq!(resolve(&[("log.retention.hours", "-1")]).log.retention_ms, -1);
    }
}
