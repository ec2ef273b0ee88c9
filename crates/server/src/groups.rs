//! The group coordinator as this broker hosts it: its topic and its settings.

use std::sync::Arc;
use std::time::Duration;

use kalda_coordinator::{GroupSettings, GroupShard, MigrationPolicy, TransactionEnding};
use kalda_env::Clock;
use kalda_model::LeaderEpoch;

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::coordinators::{Hosted, InternalTopic, LiveShard, Questions, Shards};

/// All live shards of groups.
pub(crate) type GroupCoordinator = Shards<GroupShard>;

/// The topic that holds groups and their offsets.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

impl Hosted for GroupShard {
    const TOPIC: InternalTopic = InternalTopic {
        name: OFFSETS_TOPIC,
        partitions: "offsets.topic.num.partitions",
        replication_factor: "offsets.topic.replication.factor",
        segment_bytes: "offsets.topic.segment.bytes",
        min_insync_replicas: None,
        compression_type: "producer",
        forbids_unclean_election: false,
    };

    type Outbox = Questions;

    fn new(config: &BrokerConfig, _leader_epoch: LeaderEpoch) -> Self {
        Self::new(settings(config))
    }

    fn shards(broker: &Broker) -> &Shards<Self> {
        &broker.groups
    }

    fn timer_ms(clock: &dyn Clock) -> i64 {
        clock.monotonic_ms()
    }

    fn commit_wait(config: &BrokerConfig) -> Duration {
        let wait_ms = config.number("offsets.commit.timeout.ms");
        Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
    }

    fn deliver(
        _broker: &Arc<Broker>,
        _owner: &Arc<LiveShard<Self>>,
        endings: Vec<TransactionEnding>,
    ) {
        assert!(endings.is_empty(), "groups end nobody's transactions");
    }
}

impl GroupCoordinator {
    /// Forgets the offsets of topics that were deleted.
    pub(crate) fn on_topics_deleted(&self, broker: &Arc<Broker>, names: &[Arc<str>]) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.decide_all(broker, move |shard, _| shard.on_topic_deleted(&names));
    }
}

fn settings(config: &BrokerConfig) -> GroupSettings {
    let number = |name: &str| i32::try_from(config.number(name)).unwrap_or(i32::MAX);
    let policy = config.text("group.consumer.migration.policy").unwrap_or_default();
    let defaults = GroupSettings::default();
    GroupSettings {
        initial_rebalance_delay_ms: number("group.initial.rebalance.delay.ms"),
        min_session_timeout_ms: number("group.min.session.timeout.ms"),
        max_session_timeout_ms: number("group.max.session.timeout.ms"),
        max_group_size: usize::try_from(config.number("group.max.size")).unwrap_or(usize::MAX),
        offset_metadata_max_bytes: usize::try_from(config.number("offset.metadata.max.bytes"))
            .unwrap_or(usize::MAX),
        offsets_retention_ms: config.number("offsets.retention.minutes") * 60_000,
        offsets_retention_check_interval_ms: config.number("offsets.retention.check.interval.ms"),
        consumer_session_timeout_ms: number("group.consumer.session.timeout.ms"),
        consumer_heartbeat_interval_ms: number("group.consumer.heartbeat.interval.ms"),
        consumer_max_group_size: usize::try_from(config.number("group.consumer.max.size"))
            .unwrap_or(usize::MAX),
        consumer_migration_policy: MigrationPolicy::from_name(policy)
            .unwrap_or(defaults.consumer_migration_policy),
        consumer_regex_refresh_interval_ms: number("group.consumer.regex.refresh.interval.ms"),
        ..defaults
    }
}
