//! A partition as this broker hosts it: its log, its replication state and those who wait, all
//! behind one short lock.
//!
//! The lock is held for an append or the planning of a read, never across an await, an fsync or a
//! transfer to a client.

mod append;
mod condition;
mod fetched;
mod flush;
mod read;
mod relocate;
mod transactions;
mod waits;
mod watch;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use kalda_metadata::PartitionRegistration;
use kalda_model::{BrokerId, Offset, TopicId};
use kalda_protocol::ErrorCode;
use kalda_replication::{Effects, Partition, Refused};
use kalda_storage::{Log, StorageError};
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

pub(crate) use append::{AppendRefused, Appending};
pub(crate) use condition::AppendCondition;
pub(crate) use fetched::FetchedRecords;
pub(crate) use read::{Isolation, ReadLimits};
pub(crate) use transactions::{MarkerToAppend, VerificationGuard};
pub(crate) use waits::{ParkedFetch, PendingProduce, ProduceWaits};
pub(crate) use watch::{FetchSignals, Watch};

use crate::config::topic_settings::TopicSettings;
use crate::directory::DataDirectory;
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
    pub(crate) settings: Arc<TopicSettings>,
}

#[derive(Debug)]
struct State {
    log: Log,
    partition: Partition,
    produce_waits: Vec<ProduceWait>,
    fetch_waits: Vec<Arc<ParkedFetch>>,
    /// Those of them that see only what is committed: the end of a transaction shows them much at once.
    committed_waits: Vec<Arc<ParkedFetch>>,
    /// The fetch sessions that this partition is in.
    watches: Vec<Arc<Watch>>,
    /// The last stable offset when they were last told of something, and whether it was the high
    /// watermark.
    stable_seen: Offset,
    is_settled: bool,
    verifications: Verifications,
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
        let Hosting { topic, index, topic_id, directory, local, log, settings } = hosting;
        let mut partition = Partition::new(local, settings.durability, log.log_end_offset());
        partition.on_settings(settings.durability, settings.min_insync_replicas);
        let state = State {
            log,
            partition,
            produce_waits: Vec::new(),
            fetch_waits: Vec::new(),
            committed_waits: Vec::new(),
            watches: Vec::new(),
            stable_seen: Offset::ZERO,
            is_settled: true,
            verifications: Verifications::default(),
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
            me: Weak::clone(me),
            state: Mutex::new(state),
        });
        hosted.on_metadata(registration);
        hosted
    }

    /// The log directory that it lives in.
    pub(crate) fn directory(&self) -> Arc<DataDirectory> {
        Arc::clone(&self.directory.read())
    }

    /// The controller changed the partition's registration.
    pub(crate) fn on_metadata(&self, registration: &PartitionRegistration) {
        let mut state = self.state.lock();
        let effects = state.partition.on_metadata(
            registration.leader,
            registration.leader_epoch,
            registration.partition_epoch,
            &registration.isr,
            registration.replicas.len(),
        );
        state.perform(effects);
        watch::on_change(&mut state.watches);
    }

    /// The topic's settings changed.
    pub(crate) fn on_settings(self: &Arc<Self>, settings: Arc<TopicSettings>) {
        let mut state = self.state.lock();
        state.log.set_config(Arc::clone(&settings.log));
        let effects =
            state.partition.on_settings(settings.durability, settings.min_insync_replicas);
        *self.settings.write() = settings;
        state.perform(effects);
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
        for wait in state.produce_waits.drain(..) {
            wait.fail(error);
        }
        let State { fetch_waits, committed_waits, .. } = &mut *state;
        for parked in fetch_waits.drain(..).chain(committed_waits.drain(..)) {
            parked.wake();
        }
        watch::on_change(&mut state.watches);
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
        known: kalda_model::LeaderEpoch,
        work: impl FnOnce(&mut Log, &Partition) -> T,
    ) -> Result<T, ErrorCode> {
        let mut state = self.serving()?;
        state.partition.check_leader(known).map_err(refused)?;
        Ok(state.with_log(work))
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

    fn serving(&self) -> Result<MutexGuard<'_, State>, ErrorCode> {
        let state = self.state.lock();
        match state.gone {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }
}

impl State {
    /// Acts on what replication decided: wakes those who waited for it.
    fn perform(&mut self, effects: Effects) {
        let partition = &self.partition;
        let is_done = |wait: &ProduceWait| partition.is_acknowledged(wait.end, wait.acks);
        if effects.local_end.is_some() || effects.high_watermark.is_some() {
            self.produce_waits.retain(|wait| match is_done(wait) {
                true => {
                    wait.complete();
                    false
                }
                false => true,
            });
        }
        let Some(high_watermark) = effects.high_watermark else { return };
        self.log.on_high_watermark(high_watermark);
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
