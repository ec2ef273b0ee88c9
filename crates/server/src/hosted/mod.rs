//! A partition as this broker hosts it: its log, its replication state and those who wait, all
//! behind one short lock.
//!
//! The lock is held for an append or the planning of a read, never across an await, an fsync or a
//! transfer to a client.

mod append;
mod condition;
mod damage;
mod fetched;
mod flush;
mod follow;
mod lead;
mod read;
mod relocate;
mod transactions;
mod waits;
mod watch;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use kalda_metadata::PartitionRegistration;
use kalda_model::{BrokerId, LeaderEpoch, Offset, TopicId};
use kalda_protocol::ErrorCode;
use kalda_replication::{Acks, Effects, Metadata, NewRole, Partition, Refused};
use kalda_storage::{Log, StorageError};
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

pub(crate) use append::{AppendRefused, Appending};
pub(crate) use condition::AppendCondition;
pub(crate) use damage::NextOfDamage;
pub(crate) use fetched::FetchedRecords;
pub(crate) use follow::{Copied, FollowError, Followed, NextFetch, ToFetch};
pub(crate) use lead::Registered;
pub(crate) use read::{Isolation, ReadLimits, Reading, Who};
pub(crate) use transactions::{MarkerToAppend, VerificationGuard};
pub(crate) use waits::{ParkedFetch, PendingProduce, ProduceWaits};
pub(crate) use watch::{FetchSignals, Watch};

use crate::config::topic_settings::TopicSettings;
use crate::directory::DataDirectory;
use crate::start::ObservedPartition;
use crate::tasks::alter_partition::IsrChanges;
use crate::tasks::damage::Damages;
use crate::tasks::replica_fetcher::Inbox;
use damage::Damage;
use transactions::Verifications;
use waits::ProduceWait;
use watch::{Committed, Progress};

/// A partition of this broker.
#[derive(Debug)]
pub(crate) struct HostedPartition {
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
    pub(crate) topic_id: TopicId,
    directory: RwLock<Arc<DataDirectory>>,
    /// What validation needs before the partition is locked; the log has its own part of them.
    settings: RwLock<Arc<TopicSettings>>,
    /// Whether the flusher knows that there is something to flush.
    is_queued: AtomicBool,
    /// Told when a flush has ended, for who must not run beside one.
    flush_ended: Condvar,
    /// Held by who replaces segments of the log, or relies on nobody doing so.
    rewriting: Mutex<()>,
    isr_changes: Arc<IsrChanges>,
    damages: Arc<Damages>,
    me: Weak<Self>,
    state: Mutex<State>,
}

/// What a partition is made of.
pub(crate) struct Hosting {
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
    pub(crate) topic_id: TopicId,
    pub(crate) directory: Arc<DataDirectory>,
    /// This broker.
    pub(crate) local: BrokerId,
    pub(crate) log: Log,
    /// What its last life knew to be committed.
    pub(crate) high_watermark: Offset,
    pub(crate) settings: Arc<TopicSettings>,
    /// Who is told that an ISR is to change.
    pub(crate) isr_changes: Arc<IsrChanges>,
    /// Who is told that the log is damaged.
    pub(crate) damages: Arc<Damages>,
    /// The monotonic clock.
    pub(crate) now_ms: i64,
}

#[derive(Debug)]
struct State {
    log: Log,
    partition: Partition,
    produce_waits: Vec<ProduceWait>,
    fetch_waits: Vec<Arc<ParkedFetch>>,
    /// Those of them that see only what is committed: the end of a transaction shows them much at once.
    committed_waits: Vec<Arc<ParkedFetch>>,
    /// The fetch sessions of consumers that this partition is in.
    watches: Vec<Arc<Watch>>,
    /// The same of replicas, who see all that is appended: waits without a session, and sessions.
    replica_waits: Vec<Arc<ParkedFetch>>,
    replica_watches: Vec<Arc<Watch>>,
    /// Requests that wait until the start of the log has moved on all replicas.
    start_waits: Vec<ProduceWait>,
    /// Who copies the leader's records to here. Not kept alive: it may have news of this partition.
    fetcher: Weak<Inbox>,
    /// The last stable offset when they were last told of something, and whether it was the high
    /// watermark.
    stable_seen: Offset,
    is_settled: bool,
    verifications: Verifications,
    damage: Damage,
    /// Appends that consumers do not see yet: end offset and bytes.
    unseen: VecDeque<(Offset, usize)>,
    /// When the first record was appended that is not flushed, in page-cache mode.
    unflushed_since_ms: Option<i64>,
    /// A flusher is at work on the log, without the lock.
    is_flushing: bool,
    /// Another flusher came meanwhile.
    flush_again: bool,
    /// Set once the partition is deleted or its directory failed: what everybody is answered.
    gone: Option<ErrorCode>,
}

impl HostedPartition {
    /// Hosts a log as `registration` says.
    pub(crate) fn new(hosting: Hosting, registration: &PartitionRegistration) -> Arc<Self> {
        let Hosting { topic, index, topic_id, directory, local, log, settings, .. } = hosting;
        let high_watermark = hosting.high_watermark.max(log.log_start_offset());
        let end = log.log_end_offset();
        let partition = Partition::new(local, settings.replication, end, high_watermark);
        let state = State {
            log,
            partition,
            produce_waits: Vec::new(),
            fetch_waits: Vec::new(),
            committed_waits: Vec::new(),
            watches: Vec::new(),
            replica_waits: Vec::new(),
            replica_watches: Vec::new(),
            start_waits: Vec::new(),
            fetcher: Weak::new(),
            stable_seen: Offset::ZERO,
            is_settled: true,
            verifications: Verifications::default(),
            damage: Damage::default(),
            unseen: VecDeque::new(),
            unflushed_since_ms: None,
            is_flushing: false,
            flush_again: false,
            gone: None,
        };
        let hosted = Arc::new_cyclic(|me| Self {
            topic,
            index,
            topic_id,
            directory: RwLock::new(directory),
            settings: RwLock::new(settings),
            is_queued: AtomicBool::new(false),
            flush_ended: Condvar::new(),
            rewriting: Mutex::default(),
            isr_changes: hosting.isr_changes,
            damages: hosting.damages,
            me: Weak::clone(me),
            state: Mutex::new(state),
        });
        hosted.on_metadata(registration, hosting.now_ms);
        hosted
    }

    /// The log directory that it lives in.
    pub(crate) fn directory(&self) -> Arc<DataDirectory> {
        Arc::clone(&self.directory.read())
    }

    /// The controller changed the partition's registration; it is `now_ms` on the monotonic clock. Whoever calls
    /// this tells the fetchers too.
    pub(crate) fn on_metadata(&self, registration: &PartitionRegistration, now_ms: i64) {
        // Whoever asks is told of the disk, not of what the controller made of it meanwhile.
        if self.directory().storage.is_offline() {
            return;
        }
        let mut state = self.state.lock();
        let metadata = Metadata {
            leader: registration.leader,
            leader_epoch: registration.leader_epoch,
            partition_epoch: registration.partition_epoch,
            replicas: &registration.replicas,
            isr: &registration.isr,
            is_recovering: registration.leader_recovery_state != 0,
        };
        let effects = state.partition.on_metadata(&metadata, now_ms);
        match effects.new_role {
            // Before anything is served under it.
            Some(NewRole::Leader(epoch)) => state.log.assign_epoch_start(epoch),
            // The pace of a leader's log is that of another log now.
            Some(NewRole::Follower) => state.unseen.clear(),
            None => {}
        }
        self.perform(&mut state, effects);
        if effects.new_role.is_some() {
            state.on_change();
        }
    }

    /// The topic's settings may have changed with its replicas.
    pub(crate) fn on_settings_if_new(self: &Arc<Self>, settings: &Arc<TopicSettings>) {
        if *self.settings.read() != *settings {
            self.on_settings(Arc::clone(settings));
        }
    }

    /// The topic's settings changed.
    pub(crate) fn on_settings(self: &Arc<Self>, settings: Arc<TopicSettings>) {
        let mut state = self.state.lock();
        state.log.set_config(Arc::clone(&settings.log));
        let effects = state.partition.on_settings(settings.replication);
        *self.settings.write() = settings;
        self.perform(&mut state, effects);
        let is_dirty = state.log.flushed_offset() < state.log.log_end_offset();
        drop(state);
        if is_dirty {
            self.queue_flush();
        }
    }

    /// Answers everybody who waits with `error` and serves nothing from now on.
    pub(crate) fn retire(&self, error: ErrorCode) {
        let mut state = self.state.lock();
        state.gone = Some(error);
        let State { produce_waits, start_waits, .. } = &mut *state;
        for wait in produce_waits.drain(..).chain(start_waits.drain(..)) {
            wait.fail(error);
        }
        state.on_change();
    }

    /// Its directory is about to be renamed away: a flush under way must not take that for a failure.
    pub(crate) fn on_deleted(&self) {
        self.state.lock().log.on_deleted();
    }

    /// Keeps everyone else from replacing segments, until what is answered is dropped.
    pub(crate) fn rewrite(&self) -> MutexGuard<'_, ()> {
        self.rewriting.lock()
    }

    /// Like [`HostedPartition::rewrite`], if nobody else does.
    pub(crate) fn try_rewrite(&self) -> Option<MutexGuard<'_, ()>> {
        self.rewriting.try_lock()
    }

    /// `file.delete.delay.ms`.
    pub(crate) fn file_delete_delay_ms(&self) -> i64 {
        self.settings.read().log.file_delete_delay_ms
    }

    /// Runs `work` on the log, for what neither appends nor fetches.
    pub(crate) fn with_log<T>(
        &self,
        work: impl FnOnce(&mut Log, &Partition) -> T,
    ) -> Result<T, ErrorCode> {
        let mut state = self.serving()?;
        Ok(state.with_log(work))
    }

    /// Like [`HostedPartition::with_log`], for a client that must have found the leader.
    pub(crate) fn with_leader_log<T>(
        &self,
        known: LeaderEpoch,
        work: impl FnOnce(&mut Log, &Partition) -> T,
    ) -> Result<T, ErrorCode> {
        let mut state = self.serving()?;
        state.partition.check_leader(known).map_err(refused)?;
        Ok(state.with_log(work))
    }

    /// What an onlooker sees of it, as long as it is served.
    pub(crate) fn observe(&self) -> Option<ObservedPartition> {
        let state = self.serving().ok()?;
        let high_watermark = state.partition.high_watermark();
        Some(ObservedPartition {
            topic: Arc::clone(&self.topic),
            index: self.index,
            is_leader: state.partition.is_leader(),
            leader_epoch: state.partition.leader_epoch(),
            high_watermark,
            last_stable_offset: state.log.last_stable_offset(high_watermark),
            log_end_offset: state.log.log_end_offset(),
        })
    }

    /// A disk error of this partition's log: the whole directory goes offline.
    pub(crate) fn on_disk_error(&self, error: &StorageError) {
        self.directory().fail(error);
    }

    /// Asks the flusher of the directory to flush this partition, unless it was asked already.
    pub(crate) fn queue_flush(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.directory.read().flusher.mark_dirty(Arc::clone(self) as _);
        }
    }

    /// Acts on what replication decided, under the lock.
    fn perform(&self, state: &mut State, effects: Effects) {
        state.perform(effects);
        if effects.has_proposal
            && let Some(me) = self.me.upgrade()
        {
            self.isr_changes.add(me);
        }
    }

    fn serving(&self) -> Result<MutexGuard<'_, State>, ErrorCode> {
        let state = self.state.lock();
        match state.gone {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }
}

impl State {
    /// Acts on what replication decided: wakes those who waited for it. Readers first: a producer that was answered
    /// finds its records in the next fetch.
    fn perform(&mut self, effects: Effects) {
        if let Some(high_watermark) = effects.high_watermark {
            self.on_high_watermark(high_watermark);
        }
        let partition = &self.partition;
        let is_done = |wait: &ProduceWait| partition.is_acknowledged(wait.end, wait.acks);
        if effects.local_end.is_some() || effects.high_watermark.is_some() {
            self.produce_waits.retain(|wait| match is_done(wait) {
                true => {
                    wait.complete();
                    false
                }
                false => !wait.is_given_up(),
            });
        }
        if let Some(why) = effects.waits_refused {
            self.refuse_waits(why);
        }
    }

    fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.log.on_high_watermark(high_watermark);
        if !(self.replica_watches.is_empty() && self.replica_waits.is_empty()) {
            watch::hurry(&mut self.replica_watches);
            self.replica_waits.iter().for_each(|parked| parked.hurry());
        }
        let mut visible_bytes = 0;
        while let Some((end, bytes)) = self.unseen.front()
            && *end <= high_watermark
        {
            visible_bytes += bytes;
            self.unseen.pop_front();
        }
        if visible_bytes > 0 {
            self.fetch_waits.retain(|parked| !parked.on_bytes(visible_bytes));
        }
        self.tell_readers(high_watermark, visible_bytes);
    }

    /// Lets producers go who cannot be answered as they hoped.
    fn refuse_waits(&mut self, why: Refused) {
        let error = match why {
            Refused::NotEnoughReplicas => ErrorCode::NotEnoughReplicasAfterAppend,
            why => refused(why),
        };
        let is_of_all = why != Refused::NotEnoughReplicas;
        for wait in self.produce_waits.extract_if(.., |wait| is_of_all || wait.acks == Acks::All) {
            wait.fail(error);
        }
        if is_of_all {
            self.start_waits.drain(..).for_each(|wait| wait.fail(error));
        }
    }

    /// What no fetch may wait through: another leader, another begin or end of the log, the end of the partition.
    fn on_change(&mut self) {
        let State { fetch_waits, committed_waits, replica_waits, .. } = self;
        for parked in fetch_waits.drain(..).chain(committed_waits.drain(..)) {
            parked.wake();
        }
        replica_waits.drain(..).for_each(|parked| parked.wake());
        watch::on_change(&mut self.watches);
        watch::on_change(&mut self.replica_watches);
    }

    /// Tells those who see only what is committed: of bytes, while no transaction is open; or else
    /// that there is more, and how much only a read can tell. And all fetch sessions.
    fn tell_readers(&mut self, high_watermark: Offset, visible_bytes: usize) {
        if self.committed_waits.is_empty() && self.watches.is_empty() {
            return;
        }
        let stable = self.log.last_stable_offset(high_watermark);
        let was_settled = std::mem::replace(&mut self.is_settled, stable == high_watermark);
        let committed = if was_settled && self.is_settled {
            self.committed_waits.retain(|parked| !parked.on_bytes(visible_bytes));
            Committed::AllVisible
        } else if stable > self.stable_seen {
            self.committed_waits.drain(..).for_each(|parked| parked.wake());
            Committed::More
        } else {
            Committed::Nothing
        };
        self.stable_seen = stable;
        watch::on_progress(&mut self.watches, Progress { visible_bytes, committed });
    }

    /// From here on readers are told of what differs from this.
    fn note_stable(&mut self) {
        let high_watermark = self.partition.high_watermark();
        self.stable_seen = self.log.last_stable_offset(high_watermark);
        self.is_settled = self.stable_seen == high_watermark;
    }

    /// Runs `work` on the log, and tells if the log begins elsewhere after it.
    fn with_log<T>(&mut self, work: impl FnOnce(&mut Log, &Partition) -> T) -> T {
        let began = self.log.log_start_offset();
        let done = work(&mut self.log, &self.partition);
        if self.log.log_start_offset() != began {
            watch::on_change(&mut self.watches);
            watch::on_change(&mut self.replica_watches);
        }
        done
    }
}

/// The wire's word for what replication refused.
fn refused(refused: Refused) -> ErrorCode {
    match refused {
        Refused::NotLeader => ErrorCode::NotLeaderOrFollower,
        Refused::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        Refused::UnknownLeaderEpoch => ErrorCode::UnknownLeaderEpoch,
        Refused::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
    }
}
