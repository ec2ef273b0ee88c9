//! The coordinators of this broker: a live shard for each partition of their topics that it leads.
//!
//! The deciding is done in `kalda-coordinator`; here records are appended, answers held back until
//! they are committed, and timers run: the same for groups and for transactions. A shard lives for one
//! leader epoch: it is loaded when this broker becomes the leader and closed when it is not, or leads
//! anew.

mod gathering;
mod internal_topic;
mod leadership;
mod live_shard;
mod load;
mod load_queue;
mod reign;
pub(crate) mod remote;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use kalda_coordinator::{Caller, Context, Coordinator, Decision, TransactionEnding, partition_for};
use kalda_env::Clock;
use kalda_metadata::TopicImage;
use kalda_model::{BrokerId, LeaderEpoch};
use kalda_protocol::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use gathering::{Gathered, Gathering};
pub(crate) use internal_topic::InternalTopic;
pub(crate) use leadership::on_metadata;
pub(crate) use live_shard::LiveShard;
pub(crate) use reign::Questions;
pub(crate) use timers::run as run_timers;

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::hosted::{HostedPartition, VerificationGuard};
use load_queue::LoadQueue;

/// How long who asks for a coordinator waits for its topic to be there, once that is made.
const MADE_WAIT: Duration = Duration::from_secs(1);

/// What the runtime has to know of a kind of coordinator.
pub(crate) trait Hosted: Coordinator {
    /// Where it keeps its records.
    const TOPIC: InternalTopic;

    /// A shard that has yet to replay its log.
    fn new(config: &BrokerConfig, leader_epoch: LeaderEpoch) -> Self;

    /// All of its kind.
    fn shards(broker: &Broker) -> &Shards<Self>;

    /// What goes from coordinators of this kind, or from those who ask them, to other brokers.
    type Outbox: Debug + Default + Send + Sync;

    /// The clock of its timers: one that nobody sets, unless what they wait for stands in its log.
    fn timer_ms(clock: &dyn Clock) -> i64;

    /// How long an answer may wait for what it tells of to be committed.
    fn commit_wait(config: &BrokerConfig) -> Duration;

    /// Has the ends of transactions that `owner` decided carried to their partitions.
    fn deliver(broker: &Arc<Broker>, owner: &Arc<LiveShard<Self>>, endings: Vec<TransactionEnding>);
}

/// All live shards of one kind.
#[derive(Debug)]
pub(crate) struct Shards<C: Hosted> {
    /// By the index of the partition. One that is closed is not in here.
    live: Mutex<BTreeMap<i32, Arc<LiveShard<C>>>>,
    /// Woken when a timer may be due earlier than was known.
    timers_changed: Notify,
    /// Told whenever this broker has seen newer metadata.
    metadata_changed: Notify,
    loads: Arc<LoadQueue>,
    pub(crate) outbox: C::Outbox,
}

impl<C: Hosted> Default for Shards<C> {
    fn default() -> Self {
        Self {
            live: Mutex::default(),
            timers_changed: Notify::new(),
            metadata_changed: Notify::new(),
            loads: Arc::default(),
            outbox: C::Outbox::default(),
        }
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
        let mut led = Vec::new();
        for index in topic.partitions.keys() {
            match self.shard(broker, *index) {
                Ok(shard) => led.push(shard),
                // Another broker's.
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => answers.push(Err(error)),
            }
        }
        // One wait for all of them: each for itself would add up.
        if let Some(loading) = led.iter().find(|shard| shard.is_loading()) {
            loading.loaded_soon().await;
        }
        for shard in led {
            if shard.is_loading() {
                answers.push(Err(ErrorCode::CoordinatorLoadInProgress));
                continue;
            }
            match shard.ask(broker, caller, request.clone(), None).await {
                // It has moved meanwhile: another broker's as well.
                Err(ErrorCode::NotCoordinator) => {}
                answer => answers.push(answer),
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
        if topic::<C>(broker, ErrorCode::CoordinatorNotAvailable).is_err() {
            C::TOPIC.make(broker).await?;
            // The controller has it; this broker is about to hear of it.
            let is_known = || topic::<C>(broker, ErrorCode::CoordinatorNotAvailable).is_ok();
            let _too_late = tokio::time::timeout(MADE_WAIT, self.metadata_until(is_known)).await;
        }
        self.leader_of(broker, key)
    }

    /// The broker that coordinates `key` now.
    pub(crate) fn leader_of(&self, broker: &Broker, key: &str) -> Result<BrokerId, ErrorCode> {
        let topic = topic::<C>(broker, ErrorCode::CoordinatorNotAvailable)?;
        let partition = topic.partitions.get(&partition_of(&topic, key));
        let leader = partition.map_or(BrokerId::NONE, |partition| partition.leader);
        if leader == BrokerId::NONE { Err(ErrorCode::CoordinatorNotAvailable) } else { Ok(leader) }
    }

    /// Ends when this broker has seen newer metadata.
    pub(crate) async fn metadata_changed(&self) {
        self.metadata_changed.notified().await;
    }

    /// Ends when `is_reached`, which newer metadata may bring about.
    async fn metadata_until(&self, is_reached: impl Fn() -> bool) {
        loop {
            let changed = self.metadata_changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that nothing is missed.
            changed.as_mut().enable();
            if is_reached() {
                return;
            }
            changed.await;
        }
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
        Ok(led_partition(broker, &topic, partition_of(&topic, key))?.0)
    }

    /// Lets every shard decide on an event; those that are being loaded when they are there.
    pub(crate) fn decide_all(
        &self,
        broker: &Arc<Broker>,
        event: impl Fn(&mut C, &Context<'_>) -> Decision<C::Response> + Clone + Send + 'static,
    ) {
        for shard in self.all() {
            shard.decide_in_time(broker, Box::new(event.clone()));
        }
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

/// The partition, if this broker leads it, and the epoch in which it does.
fn led_partition(
    broker: &Broker,
    topic: &TopicImage,
    index: i32,
) -> Result<(Arc<HostedPartition>, LeaderEpoch), ErrorCode> {
    let partition = topic.partitions.get(&index).ok_or(ErrorCode::NotCoordinator)?;
    if partition.leader != broker.node || broker.is_stopping() {
        return Err(ErrorCode::NotCoordinator);
    }
    let hosted = broker.partitions.find(topic.id, index).ok_or(ErrorCode::NotCoordinator)?;
    Ok((hosted, partition.leader_epoch))
}
