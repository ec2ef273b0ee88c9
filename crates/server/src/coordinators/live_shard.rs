//! One partition's coordinator: the pure shard, its log, and those who wait for its answers.
//!
//! All of it is behind one lock, taken for a decision and its append and never across an await.

use std::collections::HashMap;
use std::sync::Arc;

use kalda_coordinator::{Caller, Context, CoordinatorRecord, Decision, Token, TransactionEnding};
use kalda_model::{ProducerEpoch, ProducerId, Uuid};
use kalda_protocol::ErrorCode;
use kalda_records::{BatchBuilder, BatchOptions, EndTxnMarker, Producer, ValidBatch};
use kalda_replication::Acks;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{Hosted, load};
use crate::broker::Broker;
use crate::hosted::{Appending, HostedPartition, MarkerToAppend, ProduceWaits, VerificationGuard};
use crate::transactions;

/// A shard and its log.
#[derive(Debug)]
pub(crate) struct LiveShard<C: Hosted> {
    partition: Arc<HostedPartition>,
    state: Mutex<State<C>>,
    loaded: Notify,
}

#[derive(Debug)]
enum State<C: Hosted> {
    Loading,
    Active(Box<Active<C>>),
    /// Its log cannot be understood, or the shard was given up: what everybody is answered.
    Closed(ErrorCode),
}

#[derive(Debug)]
struct Active<C: Hosted> {
    shard: C,
    waiting: HashMap<Token, oneshot::Sender<C::Response>>,
    next_token: u64,
}

/// An answer with the one who waits for it.
type Owed<R> = Vec<(oneshot::Sender<R>, R)>;

impl<C: Hosted> LiveShard<C> {
    /// Starts to load a shard on a thread of its own; requests wait until it is there.
    pub(super) fn load(
        broker: &Arc<Broker>,
        partition: Arc<HostedPartition>,
        empty: C,
    ) -> Arc<Self> {
        let shard =
            Arc::new(Self { partition, state: Mutex::new(State::Loading), loaded: Notify::new() });
        let (done, loaded) = oneshot::channel();
        let partition = Arc::clone(&shard.partition);
        let run = move || {
            // Who waits for it is gone if the broker stops.
            let _gone = done.send(load::replay(&partition, empty));
        };
        let spawned = std::thread::Builder::new().name("kalda-load".to_owned()).spawn(run);
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to load a coordinator");
            *shard.state.lock() = State::Closed(ErrorCode::CoordinatorNotAvailable);
        }
        let (loading, broker) = (Arc::clone(&shard), Arc::clone(broker));
        tokio::task::spawn_local(async move {
            if let Ok(loaded) = loaded.await {
                loading.on_loaded(&broker, loaded);
            }
        });
        shard
    }

    /// Whether this is the shard of that very partition, not of one that was deleted since.
    pub(super) fn is_of(&self, partition: &Arc<HostedPartition>) -> bool {
        Arc::ptr_eq(&self.partition, partition)
    }

    /// Returns when the shard is there, or will never be.
    pub(super) async fn loaded(&self) {
        loop {
            let loaded = self.loaded.notified();
            tokio::pin!(loaded);
            // Registered before the look, so that the end of the loading cannot be missed.
            loaded.as_mut().enable();
            if !matches!(*self.state.lock(), State::Loading) {
                return;
            }
            loaded.await;
        }
    }

    /// Lets the shard decide; returns when the answer holds. What belongs to a transaction is
    /// appended only under its `guard`.
    pub(super) async fn ask(
        &self,
        broker: &Arc<Broker>,
        caller: &Caller,
        request: C::Request,
        guard: Option<VerificationGuard>,
    ) -> Result<C::Response, ErrorCode> {
        self.loaded().await;
        let answered = {
            let mut state = self.state.lock();
            let active = match &mut *state {
                State::Active(active) => active,
                State::Loading => return Err(ErrorCode::CoordinatorLoadInProgress),
                State::Closed(error) => return Err(*error),
            };
            let token = Token(active.next_token);
            active.next_token += 1;
            let (answer, answered) = oneshot::channel();
            active.waiting.insert(token, answer);
            let decision =
                with_context(broker, |cx| active.shard.handle(token, caller, request, cx));
            self.carry_out(broker, active, decision, guard);
            self.go_on(broker, active);
            answered
        };
        answered.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// When the next timer of the shard is due, on the wall clock.
    pub(super) fn next_timer_ms(&self) -> Option<i64> {
        match &*self.state.lock() {
            State::Active(active) => active.shard.next_timer_ms(),
            State::Loading | State::Closed(_) => None,
        }
    }

    /// Time has passed.
    pub(super) fn on_timer(&self, broker: &Arc<Broker>) {
        self.decide(broker, |shard, cx| shard.on_timer(cx));
    }

    /// Appends the marker that ends a transaction of `producer_id` here, and lets the shard act on it
    /// in the same step. `waits` ends when it is committed.
    pub(crate) async fn append_marker(
        &self,
        marker: &MarkerToAppend,
        waits: &ProduceWaits,
        slot: usize,
    ) -> Result<(), ErrorCode> {
        self.loaded().await;
        let mut state = self.state.lock();
        let active = match &mut *state {
            State::Active(active) => active,
            State::Loading => return Err(ErrorCode::CoordinatorLoadInProgress),
            State::Closed(error) => return Err(*error),
        };
        let appended = self.partition.append_marker(marker, waits, slot)?;
        if let Some(offset) = appended {
            let EndTxnMarker { committed, .. } = marker.marker;
            active.shard.replay_marker(
                marker.producer_id,
                marker.producer_epoch,
                committed,
                offset,
            );
        }
        Ok(())
    }

    /// Gives the shard up; whoever waits is sent to look for another coordinator.
    pub(super) fn unload(&self) {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut *state, State::Closed(ErrorCode::NotCoordinator));
        drop(state);
        if let State::Active(mut active) = before {
            for (token, response) in active.shard.unload() {
                give(active.waiting.remove(&token), response);
            }
        }
        self.loaded.notify_waiters();
    }

    pub(super) fn decide(
        &self,
        broker: &Arc<Broker>,
        decide: impl FnOnce(&mut C, &Context<'_>) -> Decision<C::Response>,
    ) {
        let mut state = self.state.lock();
        if let State::Active(active) = &mut *state {
            let decision = with_context(broker, |cx| decide(&mut active.shard, cx));
            self.carry_out(broker, active, decision, None);
            self.go_on(broker, active);
        }
    }

    fn on_loaded(&self, broker: &Arc<Broker>, loaded: Result<C, String>) {
        let mut state = self.state.lock();
        if matches!(*state, State::Loading) {
            *state = match loaded {
                Ok(mut shard) => {
                    let decision = with_context(broker, |cx| shard.on_loaded(cx));
                    let mut active = Active { shard, waiting: HashMap::new(), next_token: 0 };
                    self.carry_out(broker, &mut active, decision, None);
                    self.go_on(broker, &mut active);
                    State::Active(Box::new(active))
                }
                Err(error) => {
                    let (topic, index) = (&self.partition.topic, self.partition.index);
                    tracing::error!(
                        "{topic}-{index} cannot be loaded: {error}. What it coordinates is not served; the other partitions are"
                    );
                    State::Closed(ErrorCode::CoordinatorNotAvailable)
                }
            };
        }
        drop(state);
        self.loaded.notify_waiters();
    }

    /// Does what is due at once, and has the timers' task know of what is due later.
    fn go_on(&self, broker: &Arc<Broker>, active: &mut Active<C>) {
        while let Some(due_ms) = active.shard.next_timer_ms() {
            if due_ms > broker.clock.wall_ms() {
                C::shards(broker).timers_changed.notify_one();
                return;
            }
            let decision = with_context(broker, |cx| active.shard.on_timer(cx));
            self.carry_out(broker, active, decision, None);
        }
    }

    /// Appends what was decided, replays it, and gives the answers when it is committed. Transactions
    /// that end are then on their way to their partitions.
    fn carry_out(
        &self,
        broker: &Arc<Broker>,
        active: &mut Active<C>,
        decision: Decision<C::Response>,
        guard: Option<VerificationGuard>,
    ) {
        let waits = ProduceWaits::default();
        let appended = self.append(broker, active, &decision, guard, &waits);
        let (decision, refused) = match appended {
            Ok(()) => (decision, None),
            Err(error) => {
                let undo = |cx: &Context<'_>| active.shard.on_append_failed(decision, error, cx);
                (with_context(broker, undo), Some(error))
            }
        };
        let endings = decision.endings;
        let owed: Owed<C::Response> = decision
            .answers
            .into_iter()
            .filter_map(|(token, response)| Some((active.waiting.remove(&token)?, response)))
            .collect();
        let pending = waits.into_pending().filter(|_| refused.is_none());
        let Some(pending) = pending else {
            owed.into_iter().for_each(|(answer, response)| give(Some(answer), response));
            return deliver(broker, endings);
        };
        if !owed.is_empty() || !endings.is_empty() {
            let broker = Arc::clone(broker);
            tokio::task::spawn_local(async move {
                pending.done().await;
                let failed = !pending.failures().is_empty();
                for (answer, response) in owed {
                    let error = ErrorCode::CoordinatorNotAvailable;
                    let response = if failed { C::refuse(response, error) } else { response };
                    give(Some(answer), response);
                }
                if !failed {
                    deliver(&broker, endings);
                }
            });
        }
    }

    fn append(
        &self,
        broker: &Broker,
        active: &mut Active<C>,
        decision: &Decision<C::Response>,
        guard: Option<VerificationGuard>,
        waits: &ProduceWaits,
    ) -> Result<(), ErrorCode> {
        if decision.records.is_empty() {
            return match decision.after {
                Some(after) => self.partition.await_committed(after.plus(1), waits),
                None => Ok(()),
            };
        }
        let now_ms = broker.clock.wall_ms();
        let batch = batch(&decision.records, decision.producer, now_ms)?;
        let appending =
            Appending { acks: Acks::All, now_ms, is_zstd_allowed: true, waits, slot: 0, guard };
        let appended = self.partition.append_valid(batch, &appending);
        let appended = appended.map_err(|refused| refused.error)?;
        for (delta, record) in (0..).zip(&decision.records) {
            let offset = appended.base_offset.plus(delta);
            let replayed = match decision.producer {
                Some((id, _)) => active.shard.replay_transactional(id, offset, record),
                None => active.shard.replay(offset, record),
            };
            replayed.expect("a shard understands what it wrote itself");
        }
        Ok(())
    }
}

/// Has the ends of transactions carried to their partitions.
fn deliver(broker: &Arc<Broker>, endings: Vec<TransactionEnding>) {
    for ending in endings {
        let broker = Arc::clone(broker);
        tokio::task::spawn_local(async move { transactions::deliver(&broker, ending).await });
    }
}

/// Whoever waited may be gone; what was decided holds all the same.
fn give<R>(answer: Option<oneshot::Sender<R>>, response: R) {
    if let Some(answer) = answer {
        let _gone = answer.send(response);
    }
}

fn with_context<T>(broker: &Broker, decide: impl FnOnce(&Context<'_>) -> T) -> T {
    let image = broker.image();
    let new_member_id = || member_id(broker);
    let now_ms = broker.clock.wall_ms();
    decide(&Context { now_ms, image: &image, new_member_id: &new_member_id })
}

/// A random UUID as Java writes one, in groups of hexadecimal digits.
fn member_id(broker: &Broker) -> String {
    let id = Uuid::from_bytes(kalda_env::random_uuid_bytes(&*broker.rng));
    let hex = format!("{:032x}", id.0);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

fn batch(
    records: &[CoordinatorRecord],
    producer: Option<(ProducerId, ProducerEpoch)>,
    now_ms: i64,
) -> Result<ValidBatch<'static>, ErrorCode> {
    let mut options = BatchOptions::default();
    if let Some((id, epoch)) = producer {
        // Without a sequence: the coordinator, not the producer, sees to the order.
        options.producer = Producer { id, epoch, ..Producer::NONE };
        options.is_transactional = true;
    }
    let mut batch = BatchBuilder::new(options);
    for record in records {
        batch.append(now_ms, Some(&record.key), record.value.as_deref(), &[]);
    }
    let bytes = batch.build().map_err(|_| ErrorCode::UnknownServerError)?;
    ValidBatch::own(bytes).map_err(|_| ErrorCode::UnknownServerError)
}
