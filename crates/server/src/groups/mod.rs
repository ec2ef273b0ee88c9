//! The group coordinator of this broker: a live shard for each partition of `__consumer_offsets`
//! that it leads.
//!
//! The deciding is done in `kalda-coordinator`; here its records are appended, its answers held back
//! until they are committed, and its timers run.

mod live_shard;
mod load;
mod timers;

use std::collections::HashMap;
use std::sync::Arc;

use kalda_coordinator::{
    Caller, GroupRequest, GroupResponse, GroupSettings, MigrationPolicy, partition_for,
};
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use timers::run as run_timers;

use crate::broker::Broker;
use crate::config::BrokerConfig;
use live_shard::LiveShard;

/// The topic that holds groups and their offsets.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// All live shards.
#[derive(Debug, Default)]
pub(crate) struct GroupCoordinator {
    shards: Mutex<HashMap<i32, Arc<LiveShard>>>,
    /// Woken when a timer may be due earlier than was known.
    timers_changed: Notify,
}

impl GroupCoordinator {
    /// Asks the shard of `group`; returns when its answer holds.
    pub(crate) async fn ask(
        &self,
        broker: &Arc<Broker>,
        group: &str,
        caller: &Caller,
        request: GroupRequest,
    ) -> Result<GroupResponse, ErrorCode> {
        let image = broker.image();
        let topic = image.topics.by_name(OFFSETS_TOPIC).ok_or(ErrorCode::NotCoordinator)?;
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let shard = self.shard(broker, partition_for(group, count))?;
        shard.ask(broker, caller, request).await
    }

    /// Asks every shard that this broker leads.
    pub(crate) async fn ask_all(
        &self,
        broker: &Arc<Broker>,
        caller: &Caller,
        request: &GroupRequest,
    ) -> Vec<Result<GroupResponse, ErrorCode>> {
        let image = broker.image();
        let Some(topic) = image.topics.by_name(OFFSETS_TOPIC) else { return Vec::new() };
        let mut answers = Vec::new();
        for index in topic.partitions.keys() {
            match self.shard(broker, *index) {
                Ok(shard) => answers.push(shard.ask(broker, caller, request.clone()).await),
                // Another broker's.
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => answers.push(Err(error)),
            }
        }
        answers
    }

    /// The broker that coordinates `group`, once the topic of the offsets is there.
    pub(crate) async fn coordinator_of(
        &self,
        broker: &Arc<Broker>,
        group: &str,
    ) -> Result<BrokerId, ErrorCode> {
        if broker.image().topics.by_name(OFFSETS_TOPIC).is_none() {
            make_offsets_topic(broker).await?;
        }
        let image = broker.image();
        let topic = image.topics.by_name(OFFSETS_TOPIC);
        let topic = topic.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let partition = topic.partitions.get(&partition_for(group, count));
        let leader = partition.map_or(BrokerId::NONE, |partition| partition.leader);
        if leader == BrokerId::NONE { Err(ErrorCode::CoordinatorNotAvailable) } else { Ok(leader) }
    }

    /// Answers everybody who waits: the broker stops.
    pub(crate) fn unload_all(&self) {
        let shards: Vec<_> = self.shards.lock().drain().map(|(_, shard)| shard).collect();
        for shard in shards {
            shard.unload();
        }
    }

    /// Forgets the offsets of topics that were deleted.
    pub(crate) fn on_topics_deleted(&self, broker: &Arc<Broker>, names: &[Arc<str>]) {
        for shard in self.live() {
            shard.on_topics_deleted(broker, names);
        }
    }

    fn live(&self) -> Vec<Arc<LiveShard>> {
        self.shards.lock().values().cloned().collect()
    }

    /// The shard of a partition, loaded on first use.
    fn shard(&self, broker: &Arc<Broker>, index: i32) -> Result<Arc<LiveShard>, ErrorCode> {
        let image = broker.image();
        let topic = image.topics.by_name(OFFSETS_TOPIC).ok_or(ErrorCode::NotCoordinator)?;
        let partition = topic.partitions.get(&index).ok_or(ErrorCode::NotCoordinator)?;
        if partition.leader != broker.node || broker.is_stopping() {
            return Err(ErrorCode::NotCoordinator);
        }
        let hosted = broker.partitions.find(topic.id, index).ok_or(ErrorCode::NotCoordinator)?;
        let mut shards = self.shards.lock();
        if let Some(shard) = shards.get(&index)
            && shard.is_of(&hosted)
        {
            return Ok(Arc::clone(shard));
        }
        let shard = LiveShard::load(broker, hosted, settings(&broker.config));
        shards.insert(index, Arc::clone(&shard));
        Ok(shard)
    }
}

async fn make_offsets_topic(broker: &Arc<Broker>) -> Result<(), ErrorCode> {
    let image = broker.image();
    let alive = image.brokers.values().filter(|broker| !broker.fenced).count();
    let wanted = broker.config.number("offsets.topic.replication.factor");
    // What nobody asked for is lowered to what there is: a cluster of one coordinates groups too.
    let is_asked = broker.config.values.contains_key("offsets.topic.replication.factor");
    let factor = if is_asked { wanted } else { wanted.min(i64::try_from(alive).unwrap_or(1)) };
    let config = |name: &str, value: String| CreatableTopicConfig {
        name: name.to_owned(),
        value: Some(value),
    };
    let topic = CreatableTopic {
        name: OFFSETS_TOPIC.to_owned(),
        num_partitions: i32::try_from(broker.config.number("offsets.topic.num.partitions"))
            .unwrap_or(50),
        replication_factor: i16::try_from(factor).unwrap_or(1),
        configs: vec![
            config("cleanup.policy", "compact".to_owned()),
            config("compression.type", "producer".to_owned()),
            config(
                "segment.bytes",
                broker.config.number("offsets.topic.segment.bytes").to_string(),
            ),
        ],
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let made = broker.controller.decide(move |controller| controller.create_topics(&request));
    let response = made.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
    let made = response.topics.first().map_or(0, |topic| topic.error_code);
    match ErrorCode::from_code(made) {
        Some(ErrorCode::None | ErrorCode::TopicAlreadyExists) => Ok(()),
        _ => {
            let text = response.topics.first().and_then(|topic| topic.error_message.clone());
            tracing::error!("{OFFSETS_TOPIC} cannot be made: {}", text.unwrap_or_default());
            Err(ErrorCode::CoordinatorNotAvailable)
        }
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
