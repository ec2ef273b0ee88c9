//! The coordinators of this broker: a live shard for each partition of their topics that it leads.
//!
//! The deciding is done in `kalda-coordinator`; here records are appended, answers held back until
//! they are committed, and timers run: the same for groups and for transactions.

mod internal_topic;
mod live_shard;
mod load;
mod timers;

use std::collections::HashMap;
use std::sync::Arc;

use kalda_coordinator::{Caller, Context, Coordinator, Decision, partition_for};
use kalda_metadata::TopicImage;
use kalda_model::{BrokerId, LeaderEpoch};
use kalda_protocol::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use internal_topic::InternalTopic;
pub(crate) use timers::run as run_timers;

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::hosted::{HostedPartition, VerificationGuard};
use live_shard::LiveShard;

/// What the runtime has to know of a kind of coordinator.
pub(crate) trait Hosted: Coordinator {
    /// Where it keeps its records.
    const TOPIC: InternalTopic;

    /// A shard that has yet to replay its log.
    fn new(config: &BrokerConfig, leader_epoch: LeaderEpoch) -> Self;

    /// All of its kind.
    fn shards(broker: &Broker) -> &Shards<Self>;
}

/// All live shards of one kind.
#[derive(Debug)]
pub(crate) struct Shards<C: Hosted> {
    live: Mutex<HashMap<i32, Arc<LiveShard<C>>>>,
    /// Woken when a timer may be due earlier than was known.
    timers_changed: Notify,
}

impl<C: Hosted> Default for Shards<C> {
    fn default() -> Self {
        Self { live: Mutex::default(), timers_changed: Notify::new() }
    }
}

impl<C: Hosted> Shards<C> {
    /// Asks the shard that `key` hashes to; returns when its answer holds.
    pub(crate) async fn ask(
        &self,
        broker: &Arc<Broker>,
        key: &str,
        caller: &Caller,
        request: C::Request,
    ) -> Result<C::Response, ErrorCode> {
        let index = partition_of(&*topic::<C>(broker, ErrorCode::NotCoordinator)?, key);
        self.shard(broker, index)?.ask(broker, caller, request, None).await
    }

    /// Like [`Shards::ask`], for what is to stand in a transaction: it is appended under `guard`, or
    /// if the transaction has begun in that partition.
    pub(crate) async fn ask_in_transaction(
        &self,
        broker: &Arc<Broker>,
        key: &str,
        caller: &Caller,
        request: C::Request,
        guard: Option<VerificationGuard>,
    ) -> Result<C::Response, ErrorCode> {
        let index = partition_of(&*topic::<C>(broker, ErrorCode::NotCoordinator)?, key);
        self.shard(broker, index)?.ask(broker, caller, request, guard).await
    }

    /// Asks every shard that this broker leads.
    pub(crate) async fn ask_all(
        &self,
        broker: &Arc<Broker>,
        caller: &Caller,
        request: &C::Request,
    ) -> Vec<Result<C::Response, ErrorCode>>
    where
        C::Request: Clone,
    {
        let Ok(topic) = topic::<C>(broker, ErrorCode::NotCoordinator) else { return Vec::new() };
        let mut answers = Vec::new();
        for index in topic.partitions.keys() {
            match self.shard(broker, *index) {
                Ok(shard) => answers.push(shard.ask(broker, caller, request.clone(), None).await),
                // Another broker's.
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => answers.push(Err(error)),
            }
        }
        answers
    }

    /// The broker that coordinates `key`, once the topic is there.
    pub(crate) async fn coordinator_of(
        &self,
        broker: &Arc<Broker>,
        key: &str,
    ) -> Result<BrokerId, ErrorCode> {
        if broker.image().topics.by_name(C::TOPIC.name).is_none() {
            C::TOPIC.make(broker).await?;
        }
        let topic = topic::<C>(broker, ErrorCode::CoordinatorNotAvailable)?;
        let partition = topic.partitions.get(&partition_of(&topic, key));
        let leader = partition.map_or(BrokerId::NONE, |partition| partition.leader);
        if leader == BrokerId::NONE { Err(ErrorCode::CoordinatorNotAvailable) } else { Ok(leader) }
    }

    /// The number of the partition that holds `key`.
    pub(crate) fn index_of(&self, broker: &Broker, key: &str) -> Result<i32, ErrorCode> {
        Ok(partition_of(&*topic::<C>(broker, ErrorCode::CoordinatorNotAvailable)?, key))
    }

    /// The partition that holds `key`, if this broker leads it.
    pub(crate) fn partition_for(
        &self,
        broker: &Arc<Broker>,
        key: &str,
    ) -> Result<Arc<HostedPartition>, ErrorCode> {
        let topic = topic::<C>(broker, ErrorCode::NotCoordinator)?;
        led_partition(broker, &topic, partition_of(&topic, key))
    }

    /// Lets the live shard of `key` decide on an event, if it is loaded.
    pub(crate) fn decide(
        &self,
        broker: &Arc<Broker>,
        key: &str,
        event: impl FnOnce(&mut C, &Context<'_>) -> Decision<C::Response>,
    ) {
        let Ok(topic) = topic::<C>(broker, ErrorCode::NotCoordinator) else { return };
        let shard = self.live.lock().get(&partition_of(&topic, key)).cloned();
        if let Some(shard) = shard {
            shard.decide(broker, event);
        }
    }

    /// Lets every live shard decide on an event.
    pub(crate) fn decide_all(
        &self,
        broker: &Arc<Broker>,
        mut event: impl FnMut(&mut C, &Context<'_>) -> Decision<C::Response>,
    ) {
        for shard in self.all() {
            shard.decide(broker, &mut event);
        }
    }

    /// Loads every shard that this broker leads and that has something to load, one by one. What they
    /// left undone when they were last here goes on.
    pub(crate) async fn load_all(&self, broker: &Arc<Broker>) {
        let Ok(topic) = topic::<C>(broker, ErrorCode::NotCoordinator) else { return };
        for index in topic.partitions.keys() {
            let Ok(partition) = led_partition(broker, &topic, *index) else { continue };
            let has_records =
                partition.with_log(|log, _| log.log_end_offset() > log.log_start_offset());
            if has_records == Ok(true)
                && let Ok(shard) = self.shard(broker, *index)
            {
                shard.loaded().await;
            }
        }
    }

    /// Answers everybody who waits: the broker stops.
    pub(crate) fn unload_all(&self) {
        let shards: Vec<_> = self.live.lock().drain().map(|(_, shard)| shard).collect();
        for shard in shards {
            shard.unload();
        }
    }

    /// The shard of a partition, loaded on first use.
    pub(crate) fn shard(
        &self,
        broker: &Arc<Broker>,
        index: i32,
    ) -> Result<Arc<LiveShard<C>>, ErrorCode> {
        let topic = topic::<C>(broker, ErrorCode::NotCoordinator)?;
        let hosted = led_partition(broker, &topic, index)?;
        let mut live = self.live.lock();
        if let Some(shard) = live.get(&index)
            && shard.is_of(&hosted)
        {
            return Ok(Arc::clone(shard));
        }
        let epoch = topic.partitions.get(&index).map(|partition| partition.leader_epoch);
        let empty = C::new(&broker.config, epoch.unwrap_or(LeaderEpoch::UNKNOWN));
        let shard = LiveShard::load(broker, hosted, empty);
        live.insert(index, Arc::clone(&shard));
        Ok(shard)
    }

    fn all(&self) -> Vec<Arc<LiveShard<C>>> {
        self.live.lock().values().cloned().collect()
    }
}

fn topic<C: Hosted>(broker: &Broker, missing: ErrorCode) -> Result<Arc<TopicImage>, ErrorCode> {
    broker.image().topics.by_name(C::TOPIC.name).cloned().ok_or(missing)
}

fn partition_of(topic: &TopicImage, key: &str) -> i32 {
    partition_for(key, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX))
}

fn led_partition(
    broker: &Broker,
    topic: &TopicImage,
    index: i32,
) -> Result<Arc<HostedPartition>, ErrorCode> {
    let partition = topic.partitions.get(&index).ok_or(ErrorCode::NotCoordinator)?;
    if partition.leader != broker.node || broker.is_stopping() {
        return Err(ErrorCode::NotCoordinator);
    }
    broker.partitions.find(topic.id, index).ok_or(ErrorCode::NotCoordinator)
}
