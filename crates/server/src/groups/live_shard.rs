//! One partition's groups: the pure shard, its log, and those who wait for its answers.
//!
//! All of it is behind one lock, taken for a decision and its append and never across an await.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kalda_coordinator::{
    Caller, Context, CoordinatorRecord, Decision, GroupRequest, GroupResponse, GroupSettings,
    GroupShard, Token,
};
use kalda_model::Uuid;
use kalda_protocol::ErrorCode;
use kalda_records::{BatchBuilder, BatchOptions, ValidBatch};
use kalda_replication::Acks;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::load;
use crate::broker::Broker;
use crate::hosted::{Appending, HostedPartition, PendingProduce};

/// A shard and its log.
#[derive(Debug)]
pub(super) struct LiveShard {
    partition: Arc<HostedPartition>,
    state: Mutex<State>,
    loaded: Notify,
}

#[derive(Debug)]
enum State {
    Loading,
    Active(Box<Active>),
    /// Its log cannot be understood, or the shard was given up: what everybody is answered.
    Closed(ErrorCode),
}

#[derive(Debug)]
struct Active {
    shard: GroupShard,
    waiting: HashMap<Token, oneshot::Sender<GroupResponse>>,
    next_token: u64,
}

/// An answer with the one who waits for it.
type Owed = Vec<(oneshot::Sender<GroupResponse>, GroupResponse)>;

impl LiveShard {
    /// Starts to load a shard on a thread of its own; requests wait until it is there.
    pub(super) fn load(
        broker: &Arc<Broker>,
        partition: Arc<HostedPartition>,
        settings: GroupSettings,
    ) -> Arc<Self> {
        let shard =
            Arc::new(Self { partition, state: Mutex::new(State::Loading), loaded: Notify::new() });
        let (loading, broker) = (Arc::clone(&shard), Arc::clone(broker));
        let run = move || {
            let loaded = load::replay(&loading.partition, GroupShard::new(settings));
            loading.on_loaded(&broker, loaded);
        };
        let spawned = std::thread::Builder::new().name("kalda-load".to_owned()).spawn(run);
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to load groups");
            *shard.state.lock() = State::Closed(ErrorCode::CoordinatorNotAvailable);
        }
        shard
    }

    /// Whether this is the shard of that very partition, not of one that was deleted since.
    pub(super) fn is_of(&self, partition: &Arc<HostedPartition>) -> bool {
        Arc::ptr_eq(&self.partition, partition)
    }

    /// Lets the shard decide; returns when the answer holds.
    pub(super) async fn ask(
        self: &Arc<Self>,
        broker: &Arc<Broker>,
        caller: &Caller,
        request: GroupRequest,
    ) -> Result<GroupResponse, ErrorCode> {
        loop {
            let loaded = self.loaded.notified();
            tokio::pin!(loaded);
            // Registered before the look, so that the end of the loading cannot be missed.
            loaded.as_mut().enable();
            if !matches!(*self.state.lock(), State::Loading) {
                break;
            }
            loaded.await;
        }
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
            self.carry_out(broker, active, decision);
            self.announce_timer(broker, active);
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

    pub(super) fn on_topics_deleted(&self, broker: &Arc<Broker>, names: &[Arc<str>]) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.decide(broker, |shard, _| shard.on_topic_deleted(&names));
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

    fn decide(
        &self,
        broker: &Arc<Broker>,
        decide: impl FnOnce(&mut GroupShard, &Context<'_>) -> Decision,
    ) {
        let mut state = self.state.lock();
        if let State::Active(active) = &mut *state {
            let decision = with_context(broker, |cx| decide(&mut active.shard, cx));
            self.carry_out(broker, active, decision);
            self.announce_timer(broker, active);
        }
    }

    fn on_loaded(&self, broker: &Arc<Broker>, loaded: Result<GroupShard, String>) {
        let mut state = self.state.lock();
        if matches!(*state, State::Loading) {
            *state = match loaded {
                Ok(mut shard) => {
                    shard.on_loaded(broker.clock.wall_ms());
                    State::Active(Box::new(Active {
                        shard,
                        waiting: HashMap::new(),
                        next_token: 0,
                    }))
                }
                Err(error) => {
                    let (topic, index) = (&self.partition.topic, self.partition.index);
                    tracing::error!(
                        "{topic}-{index} cannot be loaded: {error}. Its groups are not served; the others are"
                    );
                    State::Closed(ErrorCode::CoordinatorNotAvailable)
                }
            };
        }
        drop(state);
        self.loaded.notify_waiters();
        broker.groups.timers_changed.notify_one();
    }

    /// Appends what was decided, replays it, and gives the answers when it is committed.
    fn carry_out(&self, broker: &Arc<Broker>, active: &mut Active, decision: Decision) {
        let waits = PendingProduce::new();
        let appended = self.append(broker, active, &decision, &waits);
        let (decision, refused) = match appended {
            Ok(()) => (decision, None),
            Err(error) => {
                let undo = |cx: &Context<'_>| active.shard.on_append_failed(decision, error, cx);
                (with_context(broker, undo), Some(error))
            }
        };
        let owed: Owed = decision
            .answers
            .into_iter()
            .filter_map(|(token, response)| Some((active.waiting.remove(&token)?, response)))
            .collect();
        if waits.is_done_after_setup() || refused.is_some() {
            owed.into_iter().for_each(|(answer, response)| give(Some(answer), response));
        } else if !owed.is_empty() {
            tokio::task::spawn_local(async move {
                waits.done().await;
                let failed = !waits.failures().is_empty();
                for (answer, response) in owed {
                    let error = ErrorCode::CoordinatorNotAvailable;
                    let response = if failed { response.into_error(error) } else { response };
                    give(Some(answer), response);
                }
            });
        }
    }

    fn append(
        &self,
        broker: &Broker,
        active: &mut Active,
        decision: &Decision,
        waits: &Arc<PendingProduce>,
    ) -> Result<(), ErrorCode> {
        if decision.records.is_empty() {
            return match decision.after {
                Some(after) => self.partition.await_committed(after.plus(1), waits),
                None => Ok(()),
            };
        }
        let now_ms = broker.clock.wall_ms();
        let batch = batch(&decision.records, now_ms)?;
        let appending = Appending {
            records: Bytes::new(),
            acks: Acks::All,
            now_ms,
            is_zstd_allowed: true,
            request: waits,
            slot: 0,
        };
        let appended = self.partition.append_valid(batch, &appending);
        let appended = appended.map_err(|refused| refused.error)?;
        for (delta, record) in (0..).zip(&decision.records) {
            let replayed = active.shard.replay(appended.base_offset.plus(delta), record);
            replayed.expect("a shard understands what it wrote itself");
        }
        Ok(())
    }

    fn announce_timer(&self, broker: &Broker, active: &Active) {
        if active.shard.next_timer_ms().is_some() {
            broker.groups.timers_changed.notify_one();
        }
    }
}

/// Whoever waited may be gone; what was decided holds all the same.
fn give(answer: Option<oneshot::Sender<GroupResponse>>, response: GroupResponse) {
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

fn batch(records: &[CoordinatorRecord], now_ms: i64) -> Result<ValidBatch, ErrorCode> {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    for record in records {
        batch.append(now_ms, Some(&record.key), record.value.as_deref(), &[]);
    }
    let bytes = batch.build().map_err(|_| ErrorCode::UnknownServerError)?;
    ValidBatch::own(bytes).map_err(|_| ErrorCode::UnknownServerError)
}
