//! One fetcher: asks, appends, waits for the disk, asks on (`ReplicaFetcherThread`).
//!
//! The next fetch says what is on disk here, so it goes when the flush of what the last one brought is done: one
//! group commit for all of it. A disk that is slower than [`FLUSH_WAIT`] holds up only its own partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kalda_model::{LeaderEpoch, Offset, TopicId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::fetch::{FetchRequest, FetchResponse, PartitionData, ReplicaState};
use kalda_replication::OutOfRange;
use kalda_storage::Checkpoint;
use tokio::time::{Instant, sleep_until};

use super::inbox::{Inbox, News};
use super::session::Session;
use super::{Key, Slot, error_of, leader_offsets};
use crate::broker::Broker;
use crate::directory::DataDirectory;
use crate::hosted::{Copied, FollowError, Followed, HostedPartition, NextFetch};
use crate::peer::{Link, PeerError};
use crate::tasks::housekeeping;

/// How long a fetch waits for flushes of what came before. What is not on disk by then is left out of it.
const FLUSH_WAIT: Duration = Duration::from_millis(10);
/// The first pause after an error; it doubles up to `replica.fetch.backoff.ms`.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// A fetch that waits at the leader is given up for a new partition no more often than this.
const GIVE_UP_EVERY: Duration = Duration::from_millis(50);
/// What it costs, at the least, to tell a leader anew of one partition; many are told less often.
const TELL_ONE: Duration = Duration::from_micros(50);
/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// First version in which a replica says under which registration it asks.
const REPLICA_STATE: i16 = 15;
/// First version that compares histories.
const DIVERGENCE: i16 = 12;

/// One partition that is copied.
struct Partition {
    hosted: Arc<HostedPartition>,
    /// The pause after its next error.
    backoff: Duration,
}

struct Fetcher {
    broker: Arc<Broker>,
    slot: Slot,
    inbox: Arc<Inbox>,
    link: Option<Link>,
    session: Session,
    partitions: BTreeMap<Key, Partition>,
    /// Those whose next question may be another than the leader knows.
    changed: BTreeSet<Key>,
    /// Those that wait for the disk.
    flushing: BTreeSet<Key>,
    /// Those that had an error, until then.
    paused: BTreeMap<Key, Instant>,
    backoff: Duration,
    is_failing: bool,
    gave_up_at: Instant,
}

/// What ended a fetch.
enum Ended {
    Answered(Box<FetchResponse>, i16),
    /// There is another partition, which is not to wait until this fetch is answered.
    GivenUp,
    Failed(PeerError),
    Stopping,
}

/// Copies from the leader of `slot` until there is nothing left to copy from it.
pub(super) async fn run(broker: Arc<Broker>, slot: Slot, inbox: Arc<Inbox>) {
    let mut fetcher = Fetcher {
        slot,
        inbox,
        link: None,
        session: Session::default(),
        partitions: BTreeMap::new(),
        changed: BTreeSet::new(),
        flushing: BTreeSet::new(),
        paused: BTreeMap::new(),
        backoff: BACKOFF_MIN,
        is_failing: false,
        gave_up_at: Instant::now(),
        broker,
    };
    loop {
        fetcher.take_news();
        let is_done =
            fetcher.partitions.is_empty() && fetcher.broker.fetchers.retire(slot, &fetcher.inbox);
        if is_done || fetcher.broker.is_stopping() {
            return;
        }
        fetcher.round().await;
    }
}

impl Fetcher {
    fn take_news(&mut self) {
        for news in self.inbox.take() {
            match news {
                News::Follow(hosted) => {
                    let key = (hosted.topic_id, hosted.index);
                    let partition = Partition { hosted, backoff: BACKOFF_MIN };
                    self.partitions.insert(key, partition);
                    self.paused.remove(&key);
                    self.changed.insert(key);
                }
                News::Leave(key) => {
                    self.partitions.remove(&key);
                    self.paused.remove(&key);
                    self.flushing.remove(&key);
                    self.changed.insert(key);
                }
                News::Flushed(key) => {
                    self.flushing.remove(&key);
                    self.changed.insert(key);
                }
            }
        }
    }

    /// One fetch and what follows from it.
    async fn round(&mut self) {
        self.resume_paused();
        self.look_at_changed();
        self.await_flushes().await;
        if self.session.is_empty() {
            return self.await_news().await;
        }
        match self.fetch().await {
            Ended::Answered(response, version) => {
                self.on_answer(*response, version).await;
            }
            Ended::GivenUp => {
                self.gave_up_at = Instant::now();
                self.on_link_lost();
            }
            Ended::Failed(error) => {
                let (leader, _) = self.slot;
                // Once is enough to say so; the next that is heard of it is that it goes on.
                if self.is_failing {
                    tracing::debug!("cannot copy from broker {leader}: {error}");
                } else {
                    tracing::warn!("cannot copy from broker {leader}: {error}");
                }
                self.is_failing = true;
                self.on_link_lost();
                self.pause_all().await;
            }
            Ended::Stopping => {}
        }
    }

    fn resume_paused(&mut self) {
        let now = Instant::now();
        let Self { paused, changed, .. } = self;
        paused.retain(|key, until| {
            let is_due = *until <= now;
            if is_due {
                changed.insert(*key);
            }
            !is_due
        });
    }

    /// Brings the session up to what is to be asked.
    fn look_at_changed(&mut self) {
        for key in std::mem::take(&mut self.changed) {
            let Some(partition) = self.partitions.get(&key) else {
                self.session.forget(key);
                continue;
            };
            if self.paused.contains_key(&key) {
                self.session.forget(key);
                continue;
            }
            match partition.hosted.next_fetch() {
                NextFetch::Ask(to_fetch)
                    if to_fetch.position.leader == self.slot.0
                        && let Some(until) = self.throttled_until(&partition.hosted) =>
                {
                    self.flushing.remove(&key);
                    self.session.forget(key);
                    self.paused.insert(key, until);
                }
                NextFetch::Ask(to_fetch) if to_fetch.position.leader == self.slot.0 => {
                    self.flushing.remove(&key);
                    self.session.ask(key, to_fetch);
                }
                // It leaves this fetcher soon, or it stopped.
                NextFetch::Ask(_) | NextFetch::Nothing => {
                    self.flushing.remove(&key);
                    self.session.forget(key);
                }
                NextFetch::Flushing => {
                    self.flushing.insert(key);
                }
            }
        }
    }

    /// When a partition may be asked for again that has to wait for the follower's quota.
    fn throttled_until(&self, hosted: &HostedPartition) -> Option<Instant> {
        let quota = &self.broker.replication_quotas.follower;
        if !quota.is_limited() || !self.is_throttled(hosted) {
            return None;
        }
        let now_ms = self.broker.clock.monotonic_ms();
        let is_empty = quota.available(now_ms) == Some(0);
        let ms = u64::try_from(quota.ready_in_ms(now_ms)).unwrap_or(0);
        is_empty.then(|| Instant::now() + Duration::from_millis(ms))
    }

    /// Whether what is copied to it counts against the follower's quota: not if it is in sync.
    fn is_throttled(&self, hosted: &HostedPartition) -> bool {
        hosted.is_throttled_follower() && {
            let image = self.broker.image();
            let topic = image.topics.by_id(hosted.topic_id);
            let registered = topic.and_then(|topic| topic.partitions.get(&hosted.index));
            registered.is_none_or(|registered| !registered.isr.contains(&self.broker.node))
        }
    }

    /// Waits for the disk, but not for long; those that are not done are left out of the next fetch.
    async fn await_flushes(&mut self) {
        let deadline = Instant::now() + FLUSH_WAIT;
        while !self.flushing.is_empty() && !self.broker.is_stopping() {
            let inbox = Arc::clone(&self.inbox);
            tokio::select! {
                biased;
                () = inbox.told() => {}
                () = sleep_until(deadline) => break,
            }
            self.take_news();
            self.look_at_changed();
        }
        for key in &self.flushing {
            self.session.forget(*key);
        }
    }

    async fn await_news(&self) {
        let next = self.paused.values().min().copied();
        let until = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            biased;
            () = self.broker.stopping() => {}
            () = self.inbox.told() => {}
            () = sleep_until(until) => {}
        }
    }

    async fn fetch(&mut self) -> Ended {
        let link = match self.link().await {
            Ok(link) => link,
            Err(error) => return Ended::Failed(error),
        };
        let version = match link.version::<FetchRequest>() {
            Ok(version) => version,
            Err(error) => return Ended::Failed(error),
        };
        let request = self.request(version);
        let count = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        let earliest = self.gave_up_at + GIVE_UP_EVERY.max(TELL_ONE * count);
        let another = async {
            self.inbox.has_another().await;
            sleep_until(earliest).await;
        };
        tokio::select! {
            biased;
            () = self.broker.stopping() => Ended::Stopping,
            answered = link.call(&request) => match answered {
                Ok(response) => Ended::Answered(Box::new(response), version),
                Err(error) => Ended::Failed(error),
            },
            () = another => Ended::GivenUp,
        }
    }

    fn request(&mut self, version: i16) -> FetchRequest {
        let number =
            |name: &str| i32::try_from(self.broker.config.number(name)).unwrap_or(i32::MAX);
        let (node, epoch) = (self.broker.node.0, self.broker.epoch().0);
        // While something waits for the disk the leader must not keep us waiting too: its offset is due soon.
        let mut max_wait_ms =
            if self.flushing.is_empty() { number("replica.fetch.wait.max.ms") } else { 0 };
        if let Some(next) = self.paused.values().min() {
            let left = next.saturating_duration_since(Instant::now()).as_millis();
            max_wait_ms = max_wait_ms.min(i32::try_from(left).unwrap_or(i32::MAX));
        }
        let mut request = FetchRequest {
            max_wait_ms,
            min_bytes: number("replica.fetch.min.bytes"),
            max_bytes: number("replica.fetch.response.max.bytes"),
            ..FetchRequest::default()
        };
        if version >= REPLICA_STATE {
            request.replica_state = ReplicaState { replica_id: node, replica_epoch: epoch };
        } else {
            request.replica_id = node;
        }
        let max_bytes = number("replica.fetch.max.bytes");
        let partitions = &self.partitions;
        let image = self.broker.image();
        let name = |key: Key| match partitions.get(&key) {
            Some(partition) => partition.hosted.topic.to_string(),
            None => {
                image.topics.by_id(key.0).map_or_else(String::new, |topic| topic.name.to_string())
            }
        };
        self.session.fill(&mut request, max_bytes, name);
        request
    }

    /// The connection to the leader, as the newest metadata knows it.
    async fn link(&mut self) -> Result<Link, PeerError> {
        if let Some(link) = self.link.as_ref().filter(|link| link.is_open()) {
            return Ok(link.clone());
        }
        // What the leader knows of an earlier connection is told anew.
        self.on_link_lost();
        self.look_at_changed();
        let (leader, _) = self.slot;
        let image = self.broker.image();
        let registered = image.brokers.get(&leader);
        let endpoint = registered.and_then(|peer| self.broker.inter_broker_endpoint(peer));
        let endpoint = endpoint.ok_or(PeerError::Unknown(leader))?;
        let timeout_ms = self.broker.config.number("replica.socket.timeout.ms");
        let opened =
            Link::open_for(&self.broker, &endpoint.host, endpoint.port, timeout_ms).await?;
        if opened.version::<FetchRequest>()? < DIVERGENCE {
            tracing::error!("broker {leader} is too old to copy from: it knows no leader epochs");
            return Err(PeerError::Unknown(leader));
        }
        self.link = Some(opened.clone());
        Ok(opened)
    }

    fn on_link_lost(&mut self) {
        self.link = None;
        self.ask_anew();
    }

    fn ask_anew(&mut self) {
        self.session.begin_anew();
        self.changed.extend(self.partitions.keys());
    }

    /// Nothing can be asked for a while; unless there is news.
    async fn pause_all(&mut self) {
        let until = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(self.backoff_max());
        tokio::select! {
            biased;
            () = self.broker.stopping() => {}
            () = sleep_until(until) => {}
            () = self.inbox.has_another() => {}
        }
    }

    fn backoff_max(&self) -> Duration {
        let ms = self.broker.config.number("replica.fetch.backoff.ms");
        Duration::from_millis(u64::try_from(ms).unwrap_or(0)).max(BACKOFF_MIN)
    }

    async fn on_answer(&mut self, response: FetchResponse, version: i16) {
        let error = error_of(response.error_code);
        match error {
            ErrorCode::None => {}
            ErrorCode::FetchSessionIdNotFound
            | ErrorCode::InvalidFetchSessionEpoch
            | ErrorCode::FetchSessionTopicIdError => {
                self.session.on_lost();
                return self.ask_anew();
            }
            error => {
                tracing::warn!("broker {} refused a fetch: {error:?}", self.slot.0);
                self.ask_anew();
                return self.pause_all().await;
            }
        }
        self.backoff = BACKOFF_MIN;
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("copying from broker {} goes on", self.slot.0);
        }
        let mut round = Round::default();
        for topic in &response.responses {
            let Some(id) = self.topic_id(topic.topic_id, &topic.topic, version) else { continue };
            for data in &topic.partitions {
                self.on_partition((id, data.partition_index), data, &mut round);
            }
        }
        if !round.out_of_range.is_empty() {
            self.on_out_of_range(&mut round).await;
        }
        // Before anything is appended where it was cut: a recovery must look at all from there on.
        for directory in round.cut {
            if let Err(error) =
                housekeeping::write_checkpoint(&directory, Checkpoint::RecoveryPoint)
            {
                directory.fail(&error);
            }
        }
        self.session.on_answer(response.session_id);
        if self.session.is_new() {
            self.changed.extend(self.partitions.keys());
        }
    }

    fn topic_id(&self, id: TopicId, name: &str, version: i16) -> Option<TopicId> {
        if version >= TOPIC_IDS {
            return Some(id);
        }
        self.broker.image().topics.by_name(name).map(|topic| topic.id)
    }

    fn on_partition(&mut self, key: Key, data: &PartitionData, round: &mut Round) {
        let Some(partition) = self.partitions.get(&key) else { return };
        let Some(asked) = self.session.asked(key).map(|asked| asked.position) else { return };
        self.changed.insert(key);
        let error = error_of(data.error_code);
        match error {
            ErrorCode::None => {}
            ErrorCode::OffsetOutOfRange => {
                round.out_of_range.push((key, asked));
                return;
            }
            error => return self.pause(key, &format!("{error:?}")),
        }
        let diverging = (data.diverging_epoch.epoch >= 0).then_some((
            LeaderEpoch(data.diverging_epoch.epoch),
            Offset(data.diverging_epoch.end_offset),
        ));
        let copied = Copied {
            asked: &asked,
            diverging,
            high_watermark: Offset(data.high_watermark),
            log_start: Offset(data.log_start_offset),
            records: data.records.as_deref().unwrap_or_default(),
            now_ms: self.broker.clock.wall_ms(),
        };
        let quota = &self.broker.replication_quotas.follower;
        if quota.is_limited() && self.is_throttled(&partition.hosted) {
            quota.on_passed(copied.records.len(), self.broker.clock.monotonic_ms());
        }
        let followed = partition.hosted.on_copied(&copied);
        self.on_followed(key, followed, round);
    }

    fn on_followed(
        &mut self,
        key: Key,
        followed: Result<Followed, FollowError>,
        round: &mut Round,
    ) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        match followed {
            Ok(Followed::Truncated) => round.cut(&partition.hosted),
            Ok(Followed::Done | Followed::Stale) => partition.backoff = BACKOFF_MIN,
            Err(FollowError::CommittedAtRisk(error)) => {
                let (topic, index) = (&partition.hosted.topic, partition.hosted.index);
                tracing::error!(
                    "{topic}-{index} is not copied from broker {} any more: {error}. If those records may be lost, set unclean.leader.election.enable=true for the topic",
                    self.slot.0
                );
            }
            Err(error) => self.pause(key, &error.to_string()),
        }
    }

    /// The partition rests for a while; others go on.
    fn pause(&mut self, key: Key, why: &str) {
        let longest = self.backoff_max();
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        let (topic, index) = (&partition.hosted.topic, partition.hosted.index);
        tracing::debug!("{topic}-{index} is not copied from broker {}: {why}", self.slot.0);
        self.paused.insert(key, Instant::now() + partition.backoff);
        partition.backoff = (partition.backoff * 2).min(longest);
        self.changed.insert(key);
    }

    /// Asks the leader what it has, and starts over there if need be.
    async fn on_out_of_range(&mut self, round: &mut Round) {
        let Some(link) = self.link.clone() else { return };
        let asked = std::mem::take(&mut round.out_of_range);
        let of: Vec<_> = asked
            .iter()
            .filter_map(|(key, position)| Some((&*self.partitions.get(key)?.hosted, *position)))
            .collect();
        let offsets = leader_offsets::ask(&self.broker, &link, &of).await;
        for (key, position) in asked {
            let found = match offsets.get(&key) {
                Some(Ok(found)) => *found,
                Some(Err(error)) => {
                    self.pause(key, &format!("{error:?}"));
                    continue;
                }
                None => {
                    self.pause(key, "the leader did not say what it has");
                    continue;
                }
            };
            let OutOfRange { leader_start, leader_end } = found;
            let Some(partition) = self.partitions.get(&key) else { continue };
            tracing::info!(
                "{}-{}: the leader has offsets {leader_start} to {leader_end}, not {}",
                partition.hosted.topic,
                partition.hosted.index,
                position.offset
            );
            let now_ms = self.broker.clock.wall_ms();
            let followed = partition.hosted.on_out_of_range(&position, found, now_ms);
            let is_same = matches!(followed, Ok(Followed::Done));
            self.on_followed(key, followed, round);
            if is_same {
                self.pause(key, "the offset is out of range, and then it is not");
            }
        }
    }
}

/// What one answer left to be done.
#[derive(Default)]
struct Round {
    out_of_range: Vec<(Key, kalda_replication::FetchPosition)>,
    /// The directories of logs that were cut.
    cut: Vec<Arc<DataDirectory>>,
}

impl Round {
    fn cut(&mut self, partition: &HostedPartition) {
        let directory = partition.directory();
        if !self.cut.iter().any(|other| Arc::ptr_eq(other, &directory)) {
            self.cut.push(directory);
        }
    }
}
