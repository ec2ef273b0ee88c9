//! The sender: carries ready batches to their leaders and deals with the answers.
//!
//! One task per producer. It never waits for a single broker: connecting, asking for metadata, for
//! an identity and for answers are jobs whose outcome comes back as an [`Event`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kalda_env::Clock;
use kalda_model::{BrokerId, LeaderEpoch, ProducerEpoch, ProducerId, TopicPartition, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::init_producer_id::InitProducerIdRequest;
use kalda_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::accumulator::Drained;
use super::batch::{Acknowledged, Batch, Identity};
use crate::cluster::{AutoCreate, Cluster};
use crate::config::{Acks, ProducerConfig};
use crate::connection::Connection;
use crate::metadata::Leader;
use crate::{Error, Result};

/// What a job comes back with.
enum Event {
    Connected { node: BrokerId, outcome: Result<()> },
    Refreshed(Result<()>),
    Identified(Result<Identity>),
    Added { partitions: Vec<TopicPartition>, outcome: Result<()> },
    Answered { node: BrokerId, batches: Vec<Batch>, outcome: Result<ProduceResponse> },
}

/// The state of the task.
pub(super) struct Sender {
    config: ProducerConfig,
    cluster: Arc<Cluster>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    jobs: JoinSet<Event>,
    /// Requests that are not answered, by node.
    in_flight: BTreeMap<BrokerId, usize>,
    connecting: BTreeSet<BrokerId>,
    refresh: Refresh,
    identity: Option<Identity>,
    is_identifying: bool,
}

/// How asking for metadata stands.
#[derive(Default)]
struct Refresh {
    is_running: bool,
    failures: u32,
    /// It is to be asked for at this moment, if at all.
    due_ms: Option<i64>,
}

impl Sender {
    pub(super) fn new(
        config: ProducerConfig,
        cluster: Arc<Cluster>,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let age = i64::try_from(config.client.metadata_max_age_ms).unwrap_or(i64::MAX);
        let due_ms = clock.monotonic_ms().checked_add(age);
        Self {
            config,
            cluster,
            shared,
            clock,
            jobs: JoinSet::new(),
            in_flight: BTreeMap::new(),
            connecting: BTreeSet::new(),
            refresh: Refresh { due_ms, ..Refresh::default() },
            identity: None,
            is_identifying: false,
        }
    }

    /// Runs until the producer is closed and everything is answered.
    pub(super) async fn run(mut self) {
        loop {
            let now_ms = self.clock.monotonic_ms();
            let is_in_doubt = self.shared.accumulator.lock().expire(now_ms);
            if is_in_doubt {
                self.forget_identity();
            }
            self.shared.accumulator.lock().drop_if_failed();
            let next_ms = self.dispatch(now_ms);
            self.shared.done.notify_waiters();
            if self.shared.accumulator.lock().is_over() {
                return;
            }
            let wait = next_ms.map(|next| (next - now_ms).max(1).unsigned_abs());
            tokio::select! {
                biased;
                Some(event) = self.jobs.join_next(), if !self.jobs.is_empty() => match event {
                    Ok(event) => self.on_event(event),
                    Err(error) => tracing::error!("a job of the sender failed: {error}"),
                },
                () = self.shared.wake.notified() => {}
                () = sleep(Duration::from_millis(wait.unwrap_or(0))), if wait.is_some() => {}
            }
        }
    }

    /// Starts what can be started now; returns when to look again if nothing happens before.
    fn dispatch(&mut self, now_ms: i64) -> Option<i64> {
        let (ready, next_ready) = self.shared.accumulator.lock().ready(now_ms);
        let next_expiry = self.shared.accumulator.lock().next_expiry_ms();
        if !ready.is_empty() && self.has_identity() {
            let ready = self.join_transaction(ready);
            self.send_ready(ready, now_ms);
        }
        self.ask_for_metadata(now_ms);
        [next_ready, next_expiry, self.refresh.due_ms].into_iter().flatten().min()
    }

    /// Whether batches may go out; if not, the identity they need is on its way.
    fn has_identity(&mut self) -> bool {
        if let Some(transaction) = self.shared.accumulator.lock().transaction() {
            self.identity = transaction.identity();
            return self.identity.is_some();
        }
        if !self.config.idempotence || self.identity.is_some() {
            return true;
        }
        if !self.is_identifying && self.in_flight.is_empty() {
            self.is_identifying = true;
            let cluster = Arc::clone(&self.cluster);
            self.jobs.spawn(async move { Event::Identified(identify(&cluster).await) });
        }
        false
    }

    /// Another identity is needed; a transaction's is the business of its end.
    fn forget_identity(&mut self) {
        if self.shared.coordinator.is_none() {
            self.identity = None;
        }
    }

    /// Those of `ready` that may be sent to now; the coordinator is told of the others.
    fn join_transaction(&mut self, ready: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let mut accumulator = self.shared.accumulator.lock();
        let Some(transaction) = accumulator.transaction() else { return ready };
        let (ready, to_add) = transaction.sort_ready(ready);
        if let Some(coordinator) = self.shared.coordinator.clone()
            && !to_add.is_empty()
            && let Some(identity) = transaction.begin_adding()
        {
            self.jobs.spawn(async move {
                let outcome = coordinator.add_partitions(identity, &to_add).await;
                Event::Added { partitions: to_add, outcome }
            });
        }
        ready
    }

    /// The versions of Produce that the transaction's protocol allows.
    fn produce_version(&self, connection: &Connection) -> Result<i16> {
        let protocol = match self.shared.accumulator.lock().transaction() {
            Some(transaction) => transaction.protocol(),
            None => return connection.version::<ProduceRequest>(i16::MAX),
        };
        let version = connection.version::<ProduceRequest>(protocol.produce_version_max())?;
        match version >= protocol.produce_version_min() {
            true => Ok(version),
            false => Err(ErrorCode::UnsupportedVersion.into()),
        }
    }

    fn send_ready(&mut self, ready: Vec<TopicPartition>, now_ms: i64) {
        let mut by_leader: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
        for partition in ready {
            match self.cluster.leader(&partition) {
                Some(leader) => by_leader.entry(leader.id).or_default().push(partition),
                None => self.refresh_soon(now_ms),
            }
        }
        for (node, partitions) in by_leader {
            match self.cluster.open_connection(node) {
                Some(connection) => self.send_to(node, &connection, &partitions, now_ms),
                None if self.connecting.insert(node) => {
                    let cluster = Arc::clone(&self.cluster);
                    self.jobs.spawn(async move {
                        let outcome = cluster.node(node).await.map(drop);
                        Event::Connected { node, outcome }
                    });
                }
                None => {}
            }
        }
    }

    /// Sends as many requests to one leader as may be in flight.
    fn send_to(
        &mut self,
        node: BrokerId,
        connection: &Arc<Connection>,
        partitions: &[TopicPartition],
        now_ms: i64,
    ) {
        let mut partitions = partitions.to_vec();
        while self.in_flight.get(&node).copied().unwrap_or(0) < self.config.in_flight_max {
            let drained = self.shared.accumulator.lock().drain(
                &partitions,
                self.config.max_request_size,
                self.identity,
            );
            if drained.is_empty() {
                return;
            }
            self.send_request(node, connection, drained);
            let ready = self.shared.accumulator.lock().ready(now_ms).0;
            partitions.retain(|partition| ready.contains(partition));
        }
    }

    fn send_request(
        &mut self,
        node: BrokerId,
        connection: &Arc<Connection>,
        drained: Vec<Drained>,
    ) {
        let version = match self.produce_version(connection) {
            Ok(version) => version,
            Err(error) => {
                let batches = drained.into_iter().map(|drained| drained.batch).collect();
                return self.on_no_answer(batches, &error);
            }
        };
        let request = self.request(&drained);
        // Topics go by id from version 13 on, and not every topic need have one.
        let has_ids = request.topic_data.iter().all(|topic| !topic.topic_id.is_zero());
        let version = if has_ids { version } else { version.min(12) };
        let batches: Vec<Batch> = drained.into_iter().map(|drained| drained.batch).collect();
        if self.config.acks == Acks::None {
            let sent = connection.start_unanswered(&request, version);
            return match sent {
                Ok(()) => self.on_unanswered(batches),
                Err(error) => self.on_no_answer(batches, &error),
            };
        }
        match connection.start(&request, version) {
            Ok(pending) => {
                *self.in_flight.entry(node).or_default() += 1;
                let connection = Arc::clone(connection);
                self.jobs.spawn(async move {
                    let outcome = pending.answer(&connection).await;
                    Event::Answered { node, batches, outcome }
                });
            }
            Err(error) => self.on_no_answer(batches, &error),
        }
    }

    fn request(&self, drained: &[Drained]) -> ProduceRequest {
        let mut by_topic: BTreeMap<&str, Vec<PartitionProduceData>> = BTreeMap::new();
        for Drained { batch, bytes } in drained {
            by_topic.entry(&batch.partition.topic).or_default().push(PartitionProduceData {
                index: batch.partition.partition,
                records: Some(bytes.clone()),
            });
        }
        let topic_id = |name: &str| {
            self.cluster.with_metadata(|metadata| metadata.topic(name).map(|topic| topic.id))
        };
        let topic_data = by_topic
            .into_iter()
            .map(|(name, partition_data)| TopicProduceData {
                name: name.to_owned(),
                topic_id: topic_id(name).unwrap_or(Uuid::ZERO),
                partition_data,
            })
            .collect();
        ProduceRequest {
            transactional_id: self.transactional_id(),
            acks: self.config.acks.wire(),
            timeout_ms: i32::try_from(self.config.client.request_timeout_ms).unwrap_or(i32::MAX),
            topic_data,
        }
    }

    fn transactional_id(&self) -> Option<String> {
        let coordinator = self.shared.coordinator.as_ref()?;
        Some(coordinator.transactional_id().to_owned())
    }

    fn ask_for_metadata(&mut self, now_ms: i64) {
        if self.refresh.is_running || self.refresh.due_ms.is_none_or(|due| due > now_ms) {
            return;
        }
        self.refresh.is_running = true;
        self.refresh.due_ms = None;
        let topics = self.shared.accumulator.lock().topics().into_iter().collect();
        let cluster = Arc::clone(&self.cluster);
        self.jobs.spawn(async move {
            let refreshed = cluster.refresh(Some(topics), AutoCreate::Allowed).await;
            Event::Refreshed(refreshed.map(drop))
        });
    }

    /// Metadata is wrong somewhere: ask, but not more often than the back-off allows.
    fn refresh_soon(&mut self, now_ms: i64) {
        if self.refresh.is_running {
            return;
        }
        let wait = self.cluster.retry_wait(self.refresh.failures).as_millis();
        let soon = now_ms + i64::try_from(wait).unwrap_or(i64::MAX);
        if self.refresh.due_ms.is_none_or(|due| due > soon) {
            self.refresh.failures += 1;
            self.refresh.due_ms = Some(soon);
        }
    }

    fn on_event(&mut self, event: Event) {
        let now_ms = self.clock.monotonic_ms();
        match event {
            Event::Connected { node, outcome } => {
                self.connecting.remove(&node);
                match outcome {
                    Ok(()) => self.refresh.failures = 0,
                    Err(_) => self.refresh_soon(now_ms),
                }
            }
            Event::Refreshed(outcome) => {
                self.refresh.is_running = false;
                let age = self.config.client.metadata_max_age_ms;
                self.refresh.due_ms = now_ms.checked_add_unsigned(age);
                if outcome.is_err() {
                    self.refresh_soon(now_ms);
                }
            }
            Event::Identified(outcome) => {
                self.is_identifying = false;
                match outcome {
                    Ok(identity) => {
                        self.identity = Some(identity);
                        self.shared.accumulator.lock().reset_sequences();
                    }
                    Err(error) => self.shared.accumulator.lock().fail_all(&error),
                }
            }
            Event::Added { partitions, outcome } => {
                if let Some(transaction) = self.shared.accumulator.lock().transaction() {
                    transaction.on_added(partitions, outcome);
                }
            }
            Event::Answered { node, batches, outcome } => {
                if let Some(count) = self.in_flight.get_mut(&node) {
                    *count -= 1;
                    if *count == 0 {
                        self.in_flight.remove(&node);
                    }
                }
                match outcome {
                    Ok(response) => self.on_response(batches, response),
                    Err(error) => self.on_no_answer(batches, &error),
                }
            }
        }
    }

    fn on_unanswered(&mut self, batches: Vec<Batch>) {
        let acknowledged = Acknowledged { base_offset: None, append_time: None };
        let mut accumulator = self.shared.accumulator.lock();
        for batch in batches {
            accumulator.acknowledge(batch, acknowledged);
        }
    }

    /// The request failed as a whole.
    fn on_no_answer(&mut self, batches: Vec<Batch>, error: &Error) {
        for batch in batches {
            self.on_failure(batch, error.clone());
        }
    }

    fn on_response(&mut self, batches: Vec<Batch>, response: ProduceResponse) {
        let mut answers: BTreeMap<TopicPartition, PartitionProduceResponse> = BTreeMap::new();
        for topic in response.responses {
            let name = if topic.topic_id.is_zero() {
                Some(topic.name)
            } else {
                self.cluster.with_metadata(|metadata| {
                    metadata.topic_name(topic.topic_id).map(str::to_owned)
                })
            };
            let Some(name) = name else { continue };
            for partition in topic.partition_responses {
                answers.insert(TopicPartition::new(name.as_str(), partition.index), partition);
            }
        }
        for batch in batches {
            match answers.remove(&batch.partition) {
                Some(answer) => self.on_answer(batch, answer),
                // The topic's id has changed under way, or the broker forgot: ask again.
                None => self.on_failure(batch, ErrorCode::UnknownTopicOrPartition.into()),
            }
        }
    }

    fn on_answer(&mut self, batch: Batch, answer: PartitionProduceResponse) {
        let told = Leader {
            id: BrokerId(answer.current_leader.leader_id),
            epoch: LeaderEpoch(answer.current_leader.leader_epoch),
        };
        if told.id != BrokerId::NONE {
            let (topic, partition) = (&batch.partition.topic, batch.partition.partition);
            self.cluster.with_metadata(|metadata| metadata.update_leader(topic, partition, told));
        }
        let message = answer.error_message.or_else(|| {
            answer.record_errors.into_iter().find_map(|error| error.batch_index_error_message)
        });
        match Error::from_code(answer.error_code, message) {
            None => {
                let acknowledged = Acknowledged {
                    base_offset: Some(answer.base_offset).filter(|offset| *offset >= 0),
                    append_time: Some(answer.log_append_time_ms).filter(|time| *time >= 0),
                };
                self.shared.accumulator.lock().acknowledge(batch, acknowledged);
            }
            // The broker has it already: an earlier attempt arrived and its answer got lost.
            Some(Error::Api { code: ErrorCode::DuplicateSequenceNumber, .. }) => {
                let acknowledged = Acknowledged { base_offset: None, append_time: None };
                self.shared.accumulator.lock().acknowledge(batch, acknowledged);
            }
            Some(error) => self.on_failure(batch, error),
        }
    }

    /// Sends a batch again if that can help, else tells those who wait.
    fn on_failure(&mut self, batch: Batch, error: Error) {
        let now_ms = self.clock.monotonic_ms();
        if error.is_stale_metadata() {
            self.refresh_soon(now_ms);
        }
        let code = error.code();
        let mut accumulator = self.shared.accumulator.lock();
        let is_behind = code == Some(ErrorCode::OutOfOrderSequenceNumber)
            && accumulator.is_behind_another(&batch);
        // The broker has forgotten this producer; under a new identity the batch can still be taken.
        let is_forgotten =
            code == Some(ErrorCode::UnknownProducerId) && self.shared.coordinator.is_none();
        let helps = error.is_retriable() || is_behind || is_forgotten;
        if helps && accumulator.may_retry(&batch, now_ms) {
            let wait = self.cluster.retry_wait(batch.attempts).as_millis();
            let retry_at = now_ms + i64::try_from(wait).unwrap_or(i64::MAX);
            accumulator.put_back(batch, retry_at);
            if is_forgotten {
                self.identity = None;
            }
            return;
        }
        let leaves_gap = batch.base_sequence.is_some();
        accumulator.refuse(batch, error);
        drop(accumulator);
        // The broker will refuse every sequence after the gap.
        if leaves_gap {
            self.forget_identity();
        }
    }
}

/// Asks for a producer id, until there is one or a reason that waiting does not help.
async fn identify(cluster: &Cluster) -> Result<Identity> {
    let mut failures = 0;
    loop {
        let error = match ask_identity(cluster).await {
            Ok(identity) => return Ok(identity),
            Err(error) => error,
        };
        if !error.is_retriable() {
            return Err(error);
        }
        failures += 1;
        sleep(cluster.retry_wait(failures)).await;
    }
}

async fn ask_identity(cluster: &Cluster) -> Result<Identity> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let connection = cluster.any().await?;
    let response = connection.call(&request).await?;
    Error::check(response.error_code, None)?;
    Ok(Identity {
        id: ProducerId(response.producer_id),
        epoch: ProducerEpoch(response.producer_epoch),
    })
}
