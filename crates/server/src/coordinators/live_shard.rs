//! One partition's coordinator: the pure shard, its log, and those who wait for its answers.
//!
//! It lives for one leader epoch of the partition: it appends under no other, and when it is closed it
//! never decides, fires a timer or answers for good again. All of it is behind one lock, taken for a
//! decision and its append and never across an await.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kalda_coordinator::{
    Caller, Context, Coordinator, CoordinatorRecord, Decision, Token, TransactionEnding,
    coordinator_error,
};
use kalda_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Uuid};
use kalda_protocol::ErrorCode;
use kalda_records::{BatchBuilder, BatchOptions, EndTxnMarker, Producer, ValidBatch};
use kalda_replication::Acks;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::load::Loaded;
use super::{Hosted, load};
use crate::broker::Broker;
use crate::hosted::{
    AppendCondition, Appending, HostedPartition, MarkerToAppend, PendingProduce, ProduceWaits,
    VerificationGuard,
};

/// How long a request waits for its shard to be loaded before its client is told to come again: most
/// loads are quicker than a client's pause.
const LOAD_WAIT: Duration = Duration::from_millis(500);
/// The pause before it is looked again whether an end of a transaction is committed.
const COMMIT_RETRY: Duration = Duration::from_millis(100);

/// A shard and its log.
pub(crate) struct LiveShard<C: Hosted> {
    partition: Arc<HostedPartition>,
    /// In which this broker leads the partition.
    leader_epoch: LeaderEpoch,
    state: Mutex<State<C>>,
    /// Told when it is loaded, and when it is closed.
    changed: Notify,
}

enum State<C: Hosted> {
    /// With what it has to decide on when it is there.
    Loading(Vec<Event<C>>),
    Active(Box<Active<C>>),
    /// Its log cannot be understood. What it coordinates is not served until another broker leads.
    Failed,
    /// This broker leads the partition no more, or in another epoch.
    Closed,
}

/// What happened elsewhere, for the shard to decide on.
type Event<C> =
    Box<dyn FnOnce(&mut C, &Context<'_>) -> Decision<<C as Coordinator>::Response> + Send>;

#[derive(Debug)]
struct Active<C: Hosted> {
    shard: C,
    waiting: BTreeMap<Token, oneshot::Sender<C::Response>>,
    next_token: u64,
    /// The end of what the shard has replayed: where its next record goes.
    next_offset: Offset,
}

/// An answer with the one who waits for it.
type Owed<R> = Vec<(oneshot::Sender<R>, R)>;

impl<C: Hosted> std::fmt::Debug for LiveShard<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (partition, epoch) = (&self.partition, self.leader_epoch);
        write!(f, "LiveShard {}-{} of epoch {}", partition.topic, partition.index, epoch.0)
    }
}

impl<C: Hosted> State<C> {
    fn active(&mut self) -> Result<&mut Active<C>, ErrorCode> {
        match self {
            Self::Active(active) => Ok(active),
            Self::Loading(_) => Err(ErrorCode::CoordinatorLoadInProgress),
            Self::Failed => Err(ErrorCode::CoordinatorNotAvailable),
            Self::Closed => Err(ErrorCode::NotCoordinator),
        }
    }
}

impl<C: Hosted> LiveShard<C> {
    /// Starts to load a shard; requests wait a moment for it.
    pub(super) fn load(
        broker: &Arc<Broker>,
        partition: Arc<HostedPartition>,
        leader_epoch: LeaderEpoch,
    ) -> Arc<Self> {
        let (state, changed) = (Mutex::new(State::Loading(Vec::new())), Notify::new());
        let shard = Arc::new(Self { partition, leader_epoch, state, changed });
        let empty = C::new(&broker.config, leader_epoch);
        let bounds =
            shard.partition.with_log(|log, _| (log.log_start_offset(), log.log_end_offset()));
        if let Ok((start, end)) = bounds
            && start == end
        {
            // Most are empty: they need no thread.
            shard.on_loaded(broker, Ok(Loaded { shard: empty, end }));
            return shard;
        }
        let (done, loaded) = oneshot::channel();
        let wanted = Arc::clone(&shard);
        C::shards(broker).loads.submit(&*broker.threads, move || {
            let loaded = load::replay(&wanted.partition, empty, || !wanted.is_closed());
            // Who waits for it is gone if the broker stops, or the partition has moved on.
            let _gone = done.send(loaded);
        });
        let (loading, broker) = (Arc::clone(&shard), Arc::clone(broker));
        tokio::task::spawn_local(async move {
            let loaded = tokio::select! {
                biased;
                () = loading.closed() => return,
                loaded = loaded => loaded,
            };
            let broken = || Err("its loading panicked; the lines above say where".to_owned());
            loading.on_loaded(&broker, loaded.unwrap_or_else(|_| broken()));
        });
        shard
    }

    /// Whether this is the shard of that very partition, not of one that was deleted since.
    pub(super) fn is_of(&self, partition: &Arc<HostedPartition>) -> bool {
        Arc::ptr_eq(&self.partition, partition)
    }

    pub(super) fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub(super) fn partition(&self) -> &Arc<HostedPartition> {
        &self.partition
    }

    pub(super) fn is_loading(&self) -> bool {
        matches!(*self.state.lock(), State::Loading(_))
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.state.lock(), State::Closed)
    }

    /// Returns when the shard is closed.
    pub(crate) async fn closed(&self) {
        self.until(|state| matches!(state, State::Closed)).await;
    }

    /// Returns when the shard is there, or will never be.
    pub(super) async fn loaded(&self) {
        self.until(|state| !matches!(state, State::Loading(_))).await;
    }

    /// Like [`LiveShard::loaded`], for who does not wait longer than a moment.
    pub(super) async fn loaded_soon(&self) {
        if self.is_loading() {
            // Whether it is there by now, the state says.
            let _too_late = tokio::time::timeout(LOAD_WAIT, self.loaded()).await;
        }
    }

    async fn until(&self, is_reached: impl Fn(&State<C>) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change cannot be missed.
            changed.as_mut().enable();
            if is_reached(&*self.state.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Lets the shard decide; returns when the answer holds. What belongs to a transaction is
    /// appended only under its `guard`.
    pub(super) async fn ask(
        self: &Arc<Self>,
        broker: &Arc<Broker>,
        caller: &Caller,
        request: C::Request,
        guard: Option<VerificationGuard>,
    ) -> Result<C::Response, ErrorCode> {
        self.loaded_soon().await;
        let answered = {
            let mut state = self.state.lock();
            let active = state.active()?;
            let token = Token(active.next_token);
            active.next_token += 1;
            let (answer, answered) = oneshot::channel();
            active.waiting.insert(token, answer);
            let decision =
                with_context::<C, _>(broker, |cx| active.shard.handle(token, caller, request, cx));
            self.carry_out(broker, active, decision, guard);
            self.go_on(broker, active);
            answered
        };
        answered.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// When the next timer of the shard is due, on the clock of its kind.
    pub(super) fn next_timer_ms(&self) -> Option<i64> {
        match &*self.state.lock() {
            State::Active(active) => active.shard.next_timer_ms(),
            State::Loading(_) | State::Failed | State::Closed => None,
        }
    }

    /// Time has passed.
    pub(super) fn on_timer(self: &Arc<Self>, broker: &Arc<Broker>) {
        self.decide(broker, |shard, cx| shard.on_timer(cx));
    }

    /// Appends the marker that ends a transaction of `producer_id` here, and lets the shard act on it
    /// in the same step. `waits` ends when it is committed.
    pub(crate) fn append_marker(
        &self,
        marker: &MarkerToAppend,
        waits: &ProduceWaits,
        slot: usize,
    ) -> Result<(), ErrorCode> {
        let mut state = self.state.lock();
        let active = state.active()?;
        let condition = self.condition(active);
        let appended = self.partition.append_marker(Some(condition), marker, waits, slot);
        let appended = appended.map_err(coordinator_error)?;
        if let Some(offset) = appended {
            let EndTxnMarker { committed, .. } = marker.marker;
            active.shard.replay_marker(
                marker.producer_id,
                marker.producer_epoch,
                committed,
                offset,
            );
            active.next_offset = offset.plus(1);
        }
        Ok(())
    }

    /// Gives the shard up; whoever waits is sent to look for another coordinator.
    pub(super) fn close(&self, broker: &Broker) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Closed);
        self.changed.notify_waiters();
        if let State::Active(mut active) = before {
            for (token, response) in active.shard.unload() {
                give(active.waiting.remove(&token), response);
            }
            // Those who are left hear of it by this. A large state takes its time to be freed.
            active.waiting.clear();
            C::shards(broker).loads.submit(&*broker.threads, move || drop(active));
        }
    }

    /// Lets the shard decide on an event; when it is loaded, if it is not yet.
    pub(super) fn decide_in_time(self: &Arc<Self>, broker: &Arc<Broker>, event: Event<C>) {
        let mut state = self.state.lock();
        if let State::Loading(events) = &mut *state {
            return events.push(event);
        }
        drop(state);
        self.decide(broker, event);
    }

    /// Lets the shard decide on an event, if it is there.
    pub(crate) fn decide(
        self: &Arc<Self>,
        broker: &Arc<Broker>,
        decide: impl FnOnce(&mut C, &Context<'_>) -> Decision<C::Response>,
    ) {
        let mut state = self.state.lock();
        if let State::Active(active) = &mut *state {
            let decision = with_context::<C, _>(broker, |cx| decide(&mut active.shard, cx));
            self.carry_out(broker, active, decision, None);
            self.go_on(broker, active);
        }
    }

    fn on_loaded(self: &Arc<Self>, broker: &Arc<Broker>, loaded: Result<Loaded<C>, String>) {
        let mut state = self.state.lock();
        if let State::Loading(events) = &mut *state {
            let events = std::mem::take(events);
            *state = match loaded {
                Ok(Loaded { mut shard, end }) => {
                    let decision = with_context::<C, _>(broker, |cx| shard.on_loaded(cx));
                    let waiting = BTreeMap::new();
                    let mut active = Active { shard, waiting, next_token: 0, next_offset: end };
                    self.carry_out(broker, &mut active, decision, None);
                    for event in events {
                        let decision =
                            with_context::<C, _>(broker, |cx| event(&mut active.shard, cx));
                        self.carry_out(broker, &mut active, decision, None);
                    }
                    self.go_on(broker, &mut active);
                    State::Active(Box::new(active))
                }
                Err(error) => {
                    let is_led = self.partition.with_leader_log(self.leader_epoch, |_, _| ());
                    if is_led.is_ok() {
                        let (topic, index) = (&self.partition.topic, self.partition.index);
                        tracing::error!(
                            "{topic}-{index} cannot be loaded: {error}. What it coordinates is not served; the other partitions are"
                        );
                    }
                    State::Failed
                }
            };
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Does what is due at once, and has the timers' task know of what is due later.
    fn go_on(self: &Arc<Self>, broker: &Arc<Broker>, active: &mut Active<C>) {
        while let Some(due_ms) = active.shard.next_timer_ms() {
            if due_ms > C::timer_ms(&*broker.clock) {
                C::shards(broker).timers_changed.notify_one();
                return;
            }
            let decision = with_context::<C, _>(broker, |cx| active.shard.on_timer(cx));
            self.carry_out(broker, active, decision, None);
        }
    }

    /// Appends what was decided, replays it, and gives the answers when it is committed. Transactions
    /// that end are then on their way to their partitions.
    fn carry_out(
        self: &Arc<Self>,
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
                (with_context::<C, _>(broker, undo), Some(error))
            }
        };
        if refused == Some(AppendCondition::OTHER_END) {
            self.on_other_end(broker);
        }
        // Nothing here tells of anything above it.
        let end = active.next_offset;
        let endings = decision.endings;
        let owed: Owed<C::Response> = decision
            .answers
            .into_iter()
            .filter_map(|(token, response)| Some((active.waiting.remove(&token)?, response)))
            .collect();
        let pending = waits.into_pending().filter(|_| refused.is_none());
        let Some(pending) = pending else {
            owed.into_iter().for_each(|(answer, response)| give(Some(answer), response));
            return C::deliver(broker, self, endings);
        };
        if !owed.is_empty() || !endings.is_empty() {
            let (shard, broker) = (Arc::clone(self), Arc::clone(broker));
            tokio::task::spawn_local(async move {
                shard.on_committed(&broker, pending, end, owed, endings).await;
            });
        }
    }

    /// Gives answers once what they tell of is committed. If that takes too long the clients are told
    /// to try again, for they cannot know; what is decided holds all the same.
    async fn on_committed(
        self: &Arc<Self>,
        broker: &Arc<Broker>,
        pending: Arc<PendingProduce>,
        end: Offset,
        owed: Owed<C::Response>,
        endings: Vec<TransactionEnding>,
    ) {
        let waited_for = Arc::clone(&pending);
        let outcome = tokio::select! {
            biased;
            () = self.closed() => Err(ErrorCode::NotCoordinator),
            committed = until_committed(Some(pending)) => committed,
            () = tokio::time::sleep(C::commit_wait(&broker.config)) => Err(ErrorCode::RequestTimedOut),
        };
        waited_for.give_up();
        for (answer, response) in owed {
            let response = match outcome {
                Ok(()) => response,
                Err(error) => C::refuse(response, coordinator_error(error)),
            };
            give(Some(answer), response);
        }
        if !endings.is_empty() && (outcome.is_ok() || self.is_committed_in_the_end(end).await) {
            C::deliver(broker, self, endings);
        }
    }

    /// What stands in the log may be committed later than anybody waits for: an end of a transaction
    /// that was decided must then be carried out. False if another coordinator has to see to it.
    async fn is_committed_in_the_end(&self, end: Offset) -> bool {
        loop {
            let waits = ProduceWaits::default();
            let awaited = self.partition.await_committed(self.leader_epoch, end, &waits);
            let pending = waits.into_pending();
            let outcome = tokio::select! {
                biased;
                () = self.closed() => return false,
                committed = until_committed(pending) => committed.and(awaited),
            };
            if outcome.is_ok() {
                return true;
            }
            tokio::select! {
                biased;
                () = self.closed() => return false,
                () = tokio::time::sleep(COMMIT_RETRY) => {}
            }
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
                Some(after) => {
                    self.partition.await_committed(self.leader_epoch, after.plus(1), waits)
                }
                None => Ok(()),
            };
        }
        let now_ms = broker.clock.wall_ms();
        let batch = batch(&decision.records, decision.producer, now_ms)?;
        let appending =
            Appending { acks: Acks::All, now_ms, is_zstd_allowed: true, waits, slot: 0, guard };
        let condition = Some(self.condition(active));
        let appended = self.partition.append_if(condition, batch, &appending);
        let appended = appended.map_err(|refused| refused.error)?;
        assert_eq!(appended.base_offset, active.next_offset, "records go where the shard is");
        for (delta, record) in (0..).zip(&decision.records) {
            let offset = appended.base_offset.plus(delta);
            let replayed = match decision.producer {
                Some((id, _)) => active.shard.replay_transactional(id, offset, record),
                None => active.shard.replay(offset, record),
            };
            replayed.expect("a shard understands what it wrote itself");
        }
        active.next_offset = appended.last_offset.plus(1);
        Ok(())
    }

    fn condition(&self, active: &Active<C>) -> AppendCondition {
        AppendCondition { leader_epoch: self.leader_epoch, base_offset: active.next_offset }
    }

    /// Somebody else has written to the log: what the shard knows is not all of it.
    fn on_other_end(self: &Arc<Self>, broker: &Arc<Broker>) {
        let (shard, broker) = (Arc::clone(self), Arc::clone(broker));
        // Not here: the shard's lock is held.
        tokio::task::spawn_local(async move {
            let (topic, index) = (&shard.partition.topic, shard.partition.index);
            tracing::warn!("{topic}-{index} was written to by another; it is loaded again");
            C::shards(&broker).reload(&broker, &shard);
        });
    }
}

/// Waits, if there is something to wait for, and says whether it is committed.
async fn until_committed(pending: Option<Arc<PendingProduce>>) -> Result<(), ErrorCode> {
    let Some(pending) = pending else { return Ok(()) };
    pending.done().await;
    pending.failures().first().map_or(Ok(()), |(_, error)| Err(*error))
}

/// Whoever waited may be gone; what was decided holds all the same.
fn give<R>(answer: Option<oneshot::Sender<R>>, response: R) {
    if let Some(answer) = answer {
        let _gone = answer.send(response);
    }
}

fn with_context<C: Hosted, T>(broker: &Broker, decide: impl FnOnce(&Context<'_>) -> T) -> T {
    let image = broker.image();
    let new_member_id = || member_id(broker);
    let (now_ms, wall_ms) = (C::timer_ms(&*broker.clock), broker.clock.wall_ms());
    decide(&Context { now_ms, wall_ms, image: &image, new_member_id: &new_member_id })
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
