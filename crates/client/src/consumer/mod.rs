//! The consumer: assigned partitions, their positions, and records as they are fetched.
//!
//! The caller assigns, seeks and polls; what a group assigns is polled through [`GroupConsumer`].
//! Nothing runs between polls but requests on the wire, and those are aborted when the consumer is
//! dropped.

mod fetcher;
pub(crate) mod group;
mod position;
mod records;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kalda_model::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use kalda_protocol::ErrorCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::cluster::{AutoCreate, Cluster};
use crate::config::{ConsumerConfig, OffsetReset};
use crate::group_offsets::CommittedOffset;
use crate::offsets::{self, Listed, OffsetSpec};
use crate::{Error, Result};

use fetcher::Fetch;
use position::{Assigned, Position};
use records::Fetched;

pub use group::GroupConsumer;
pub use group::assignor::Assignor;
pub use records::ConsumedRecord;

/// Where to read on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seek {
    /// At the first record.
    Earliest,
    /// At the end: only what comes from now on.
    Latest,
    /// At that offset.
    Offset(i64),
    /// At the first record with that timestamp or a later one; at the end if there is none.
    Timestamp(i64),
}

/// What a job comes back with.
enum Event {
    Fetched {
        node: BrokerId,
        fetch: Fetch,
        outcome: Result<fetcher::Answers>,
    },
    Listed(Listed),
    Refreshed(Result<()>),
    /// A back-off is over.
    Rested,
}

/// Reads records from the partitions that it is given.
#[derive(Debug)]
pub struct Consumer {
    config: ConsumerConfig,
    cluster: Arc<Cluster>,
    assigned: BTreeMap<TopicPartition, Assigned>,
    /// Fetched and not yet returned, in the order of arrival.
    buffered: VecDeque<Fetched>,
    jobs: JoinSet<Event>,
    /// The nodes that have a fetch of ours.
    fetching: BTreeSet<BrokerId>,
    is_listing: bool,
    is_refreshing: bool,
    needs_refresh: bool,
    /// Failures in a row; while a rest is on, nothing new is asked for.
    failures: u32,
    is_resting: bool,
    /// What the next poll has to report.
    failure: Option<Error>,
}

impl Consumer {
    pub(crate) fn new(config: ConsumerConfig, cluster: Arc<Cluster>) -> Self {
        Self {
            config,
            cluster,
            assigned: BTreeMap::new(),
            buffered: VecDeque::new(),
            jobs: JoinSet::new(),
            fetching: BTreeSet::new(),
            is_listing: false,
            is_refreshing: false,
            needs_refresh: false,
            failures: 0,
            is_resting: false,
            failure: None,
        }
    }

    /// The partitions of a topic, waiting for it to come into being for up to
    /// `default.api.timeout.ms`.
    ///
    /// # Errors
    /// The topic is not there and does not come.
    pub async fn partitions_of(&self, topic: &str) -> Result<Vec<TopicPartition>> {
        let allowed = Duration::from_millis(self.config.client.default_api_timeout_ms);
        let count = self.cluster.await_topic(topic, self.auto_create(), allowed).await?;
        Ok((0..count).map(|partition| TopicPartition::new(topic, partition)).collect())
    }

    /// Reads these partitions from now on and no others, each from where `auto.offset.reset` says
    /// until it is told otherwise.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let reset = self.reset_spec().unwrap_or(OffsetSpec::Latest);
        self.assigned = partitions
            .into_iter()
            .map(|partition| (partition, Assigned::new(Position::Unknown(reset))))
            .collect();
        self.buffered.clear();
        self.needs_refresh = true;
    }

    /// Reads on elsewhere.
    ///
    /// # Errors
    /// The partition is not assigned.
    pub fn seek(&mut self, partition: &TopicPartition, to: Seek) -> Result<()> {
        let Some(assigned) = self.assigned.get_mut(partition) else {
            return Err(Error::InvalidArgument(format!("{partition} is not assigned")));
        };
        assigned.position = match to {
            Seek::Earliest => Position::Unknown(OffsetSpec::Earliest),
            Seek::Latest => Position::Unknown(OffsetSpec::Latest),
            Seek::Timestamp(timestamp) => Position::Unknown(OffsetSpec::Timestamp(timestamp)),
            Seek::Offset(offset) => Position::At(offset),
        };
        assigned.epoch = None;
        self.buffered.retain(|fetched| fetched.partition != *partition);
        Ok(())
    }

    /// Reads on where a group has come to.
    fn seek_committed(&mut self, partition: &TopicPartition, at: &CommittedOffset) -> Result<()> {
        self.seek(partition, Seek::Offset(at.offset))?;
        if let Some(assigned) = self.assigned.get_mut(partition) {
            assigned.epoch = at.leader_epoch.map(LeaderEpoch);
        }
        Ok(())
    }

    /// The offset of the next record that a poll returns; `None` while it is not known.
    #[must_use]
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.assigned.get(partition)?.position.offset().map(Offset)
    }

    /// The high watermark, as the last fetch told it.
    #[must_use]
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        self.assigned.get(partition)?.high_watermark.map(Offset)
    }

    /// How many offsets lie between the position and the high watermark.
    #[must_use]
    pub fn lag(&self, partition: &TopicPartition) -> Option<i64> {
        let (end, at) = (self.high_watermark(partition)?, self.position(partition)?);
        Some((end.0 - at.0).max(0))
    }

    /// The next records, up to `max.poll.records`; none when `wait` is over before one came.
    ///
    /// # Errors
    /// The broker refuses for good, a position is out of range and `auto.offset.reset` is `none`,
    /// or a batch is corrupt. What can be tried again is.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>> {
        let deadline = Instant::now() + wait;
        loop {
            let records = self.take_buffered()?;
            self.start_jobs();
            if !records.is_empty() {
                return Ok(records);
            }
            if let Some(error) = self.failure.take() {
                return Err(error);
            }
            tokio::select! {
                biased;
                Some(event) = self.jobs.join_next(), if !self.jobs.is_empty() => match event {
                    Ok(event) => self.on_event(event),
                    Err(error) => tracing::error!("a job of the consumer failed: {error}"),
                },
                () = sleep_until(deadline) => return Ok(Vec::new()),
            }
        }
    }

    fn auto_create(&self) -> AutoCreate {
        match self.config.allow_auto_create_topics {
            true => AutoCreate::Allowed,
            false => AutoCreate::Forbidden,
        }
    }

    fn reset_spec(&self) -> Option<OffsetSpec> {
        match self.config.auto_offset_reset {
            OffsetReset::Earliest => Some(OffsetSpec::Earliest),
            OffsetReset::Latest => Some(OffsetSpec::Latest),
            OffsetReset::None => None,
        }
    }

    fn take_buffered(&mut self) -> Result<Vec<ConsumedRecord>> {
        let mut records = Vec::new();
        while records.len() < self.config.max_poll_records {
            let Some(fetched) = self.buffered.front_mut() else { break };
            let room = self.config.max_poll_records - records.len();
            let taken = fetched.take(room, &mut records);
            if let Some(assigned) = self.assigned.get_mut(&fetched.partition) {
                assigned.position = Position::At(fetched.next_offset());
            }
            match taken {
                Ok(()) if fetched.is_empty() => drop(self.buffered.pop_front()),
                Ok(()) => {}
                Err(error) => {
                    self.buffered.pop_front();
                    // What was read before the damage is handed out first.
                    if records.is_empty() {
                        return Err(error);
                    }
                    self.failure = Some(error);
                }
            }
        }
        Ok(records)
    }

    fn start_jobs(&mut self) {
        if self.is_resting {
            return;
        }
        if self.needs_refresh && !self.is_refreshing {
            self.start_refresh();
        }
        if !self.is_listing {
            self.start_listing();
        }
        self.start_fetches();
    }

    fn start_refresh(&mut self) {
        let topics: BTreeSet<String> =
            self.assigned.keys().map(|partition| partition.topic.to_string()).collect();
        let topics = Some(topics.into_iter().collect());
        let (cluster, auto_create) = (Arc::clone(&self.cluster), self.auto_create());
        (self.needs_refresh, self.is_refreshing) = (false, true);
        self.jobs.spawn(async move {
            Event::Refreshed(cluster.refresh(topics, auto_create).await.map(drop))
        });
    }

    fn start_listing(&mut self) {
        let wanted: BTreeMap<TopicPartition, OffsetSpec> = self
            .assigned
            .iter()
            .filter(|(partition, _)| self.cluster.leader(partition).is_some())
            .filter_map(|(partition, assigned)| {
                Some((partition.clone(), assigned.position.spec()?))
            })
            .collect();
        if wanted.is_empty() {
            return;
        }
        self.is_listing = true;
        let (cluster, isolation) = (Arc::clone(&self.cluster), self.config.isolation_level);
        self.jobs
            .spawn(async move { Event::Listed(offsets::list(&cluster, &wanted, isolation).await) });
    }

    fn start_fetches(&mut self) {
        let mut by_leader: BTreeMap<BrokerId, Fetch> = BTreeMap::new();
        for (partition, assigned) in &self.assigned {
            let Some(offset) = assigned.position.offset() else { continue };
            if self.buffered.iter().any(|fetched| fetched.partition == *partition) {
                continue;
            }
            match self.cluster.leader(partition) {
                Some(leader) if self.fetching.contains(&leader.id) => {}
                Some(leader) => {
                    by_leader.entry(leader.id).or_default().add(partition, offset, leader.epoch);
                }
                None => self.needs_refresh |= !self.is_refreshing,
            }
        }
        for (node, fetch) in by_leader {
            self.fetching.insert(node);
            let (cluster, config) = (Arc::clone(&self.cluster), self.config.clone());
            self.jobs.spawn(async move {
                let outcome = fetch.send(&cluster, &config, node).await;
                Event::Fetched { node, fetch, outcome }
            });
        }
        // Found out while looking for leaders: ask after a rest.
        if self.needs_refresh {
            self.rest();
        }
    }

    /// Something failed that may go better later.
    fn rest(&mut self) {
        if self.is_resting {
            return;
        }
        self.failures += 1;
        self.is_resting = true;
        let wait = self.cluster.retry_wait(self.failures);
        self.jobs.spawn(async move {
            tokio::time::sleep(wait).await;
            Event::Rested
        });
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Rested => self.is_resting = false,
            Event::Refreshed(outcome) => {
                self.is_refreshing = false;
                self.on_refreshed(outcome);
            }
            Event::Listed(listed) => {
                self.is_listing = false;
                for (partition, outcome) in listed {
                    self.on_listed(&partition, outcome);
                }
            }
            Event::Fetched { node, fetch, outcome } => {
                self.fetching.remove(&node);
                match outcome {
                    Ok(answers) => {
                        self.failures = 0;
                        self.on_fetched(&fetch, answers);
                    }
                    Err(error) => self.on_error(error),
                }
            }
        }
    }

    fn on_refreshed(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            return self.on_error(error);
        }
        let topics: BTreeSet<&str> = self.assigned.keys().map(|p| &*p.topic).collect();
        let failed = topics.into_iter().find_map(|topic| {
            let code = self.cluster.with_metadata(|metadata| metadata.topic_error(topic))?;
            Some((topic.to_owned(), code))
        });
        match failed {
            None => {}
            Some((topic, code @ ErrorCode::InvalidTopicException)) => {
                let message = format!("Invalid topics: [{topic}]");
                self.on_error(Error::Api { code, message });
            }
            Some((topic, code @ ErrorCode::TopicAuthorizationFailed)) => {
                let message = format!("Not authorized to access topics: [{topic}]");
                self.on_error(Error::Api { code, message });
            }
            Some((_, code)) => self.on_error(code.into()),
        }
    }

    fn on_listed(&mut self, partition: &TopicPartition, outcome: Result<offsets::ListedOffset>) {
        let listed = match outcome {
            Ok(listed) => listed,
            Err(error) => return self.on_error(error),
        };
        let Some(assigned) = self.assigned.get_mut(partition) else { return };
        if assigned.position.spec().is_some() {
            assigned.position = match listed.offset {
                Some(offset) => Position::At(offset.0),
                // No record is that late: what comes next will be.
                None => Position::Unknown(OffsetSpec::Latest),
            };
        }
    }

    fn on_fetched(&mut self, fetch: &Fetch, answers: fetcher::Answers) {
        for (partition, answer) in answers {
            let asked = fetch.offset(&partition);
            let Some(assigned) = self.assigned.get_mut(&partition) else { continue };
            // A seek may have come in between.
            if asked.is_none() || assigned.position.offset() != asked {
                continue;
            }
            match answer {
                Ok(answer) => {
                    assigned.high_watermark = Some(answer.high_watermark);
                    let fetched = Fetched::new(
                        partition,
                        asked.unwrap_or_default(),
                        answer,
                        self.config.isolation_level,
                        self.config.check_crcs,
                    );
                    self.buffered.push_back(fetched);
                }
                Err(Error::Api { code: ErrorCode::OffsetOutOfRange, .. })
                    if assigned.is_later_than(fetch.epoch(&partition)) =>
                {
                    // Somebody else leads; who it is is still to be heard of.
                    self.on_error(ErrorCode::FencedLeaderEpoch.into());
                }
                Err(Error::Api { code: ErrorCode::OffsetOutOfRange, .. }) => {
                    self.on_out_of_range(&partition, asked.unwrap_or_default());
                }
                Err(error) => self.on_error(error),
            }
        }
    }

    fn on_out_of_range(&mut self, partition: &TopicPartition, offset: i64) {
        match self.reset_spec() {
            Some(spec) => {
                tracing::info!("offset {offset} of {partition} is out of range: resetting");
                if let Some(assigned) = self.assigned.get_mut(partition) {
                    assigned.position = Position::Unknown(spec);
                }
            }
            None => {
                let code = ErrorCode::OffsetOutOfRange;
                let message = format!(
                    "Fetch position {offset} is out of range for partition {partition} and auto.offset.reset is none"
                );
                self.failure = Some(Error::Api { code, message });
            }
        }
    }

    fn on_error(&mut self, error: Error) {
        if error.is_stale_metadata() {
            self.needs_refresh = true;
        }
        if error.is_retriable() {
            self.rest();
        } else {
            self.failure = Some(error);
        }
    }
}
