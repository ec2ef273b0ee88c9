//! Following: what this replica asks its leader for, and what it does with the answer, under its lock.

use std::sync::{Arc, Weak};

use kalda_model::{BrokerId, LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_replication::{CommittedAtRisk, Durability, FetchPosition, NextStep, OutOfRange};
use kalda_storage::{AppendError, StorageError};

use super::append::Next;
use super::{HostedPartition, State};
use crate::tasks::replica_fetcher::Inbox;

/// What is to be asked of the leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ToFetch {
    pub(crate) position: FetchPosition,
    pub(crate) log_start: Offset,
}

/// What is to be done about a partition that is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NextFetch {
    /// This is to be asked.
    Ask(ToFetch),
    /// First something must reach the disk, which an offset would claim to be there.
    Flushing,
    /// There is nobody to ask.
    Nothing,
}

/// What the leader answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copied<'a> {
    pub(crate) asked: &'a FetchPosition,
    pub(crate) diverging: Option<(LeaderEpoch, Offset)>,
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    pub(crate) records: &'a [u8],
    /// The wall clock.
    pub(crate) now_ms: i64,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Followed {
    /// It is in the log, or there was nothing in it.
    Done,
    /// It was to a question of before; the next one is asked anew.
    Stale,
    /// The log was cut: its recovery point on disk may be too high now.
    Truncated,
}

/// Why an answer could not be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    CommittedAtRisk(#[from] CommittedAtRisk),
    #[error("what the leader sent does not continue the log: {0}")]
    Unusable(AppendError),
    #[error("the records are of a later leader than the one that was asked")]
    LaterEpoch,
    #[error("{0:?}")]
    Gone(ErrorCode),
    #[error("the disk failed")]
    Disk,
}

impl HostedPartition {
    /// Whom it follows, if it follows anybody.
    pub(crate) fn followed(&self) -> Option<BrokerId> {
        let state = self.serving().ok()?;
        let leader = state.partition.leader();
        (!state.partition.is_leader() && leader != BrokerId::NONE).then_some(leader)
    }

    /// From now on `fetcher` copies for it, and is told when what it brought is on disk.
    pub(crate) fn set_fetcher(&self, fetcher: Weak<Inbox>) {
        self.state.lock().fetcher = fetcher;
    }

    /// Whether `follower.replication.throttled.rate` holds for it while it is not in sync.
    pub(crate) fn is_throttled_follower(&self) -> bool {
        self.settings.read().throttled_followers.contains(self.index)
    }

    /// What to ask next.
    pub(crate) fn next_fetch(self: &Arc<Self>) -> NextFetch {
        let Ok(state) = self.serving() else { return NextFetch::Nothing };
        let is_settled =
            state.partition.durability() == Durability::PageCache || state.log.is_flushed();
        match state.partition.fetch_position(state.log.latest_epoch()) {
            _ if state.damage.is_cut() => NextFetch::Nothing,
            Some(position) if is_settled => {
                NextFetch::Ask(ToFetch { position, log_start: state.log.log_start_offset() })
            }
            None if is_settled || !state.partition.is_following() => NextFetch::Nothing,
            _ => {
                drop(state);
                self.queue_flush();
                NextFetch::Flushing
            }
        }
    }

    /// Takes over what the leader sent.
    pub(crate) fn on_copied(
        self: &Arc<Self>,
        copied: &Copied<'_>,
    ) -> Result<Followed, FollowError> {
        let mut state = self.serving().map_err(FollowError::Gone)?;
        let State { log, partition, .. } = &mut *state;
        let own_end = |epoch| log.end_offset_for_epoch(epoch);
        let step =
            partition.on_fetched(copied.asked, log.latest_epoch(), copied.diverging, own_end)?;
        match step {
            NextStep::Append => {}
            step => return self.step(&mut state, step, copied.now_ms),
        }
        let before = state.log.log_end_offset();
        let epoch = copied.asked.leader_epoch;
        let appended = state.log.append_fetched(copied.records, epoch, copied.now_ms);
        let end = appended.map_err(|error| self.not_appended(error))?;
        let has_grown = end > before;
        if has_grown {
            let effects = state.on_grown(copied.records.len());
            self.perform(&mut state, effects);
        }
        let log_start = state.log.log_start_offset();
        let effects = state.partition.on_leader_high_watermark(copied.high_watermark, log_start);
        self.perform(&mut state, effects);
        self.follow_log_start(&mut state, copied)?;
        let next = if has_grown { state.plan_flush(copied.now_ms) } else { Next::Nothing };
        drop(state);
        self.see_to_disk(next);
        if has_grown || copied.records.is_empty() {
            Ok(Followed::Done)
        } else {
            Err(FollowError::LaterEpoch)
        }
    }

    /// The leader does not have what was asked for.
    pub(crate) fn on_out_of_range(
        self: &Arc<Self>,
        asked: &FetchPosition,
        found: OutOfRange,
        now_ms: i64,
    ) -> Result<Followed, FollowError> {
        let mut state = self.serving().map_err(FollowError::Gone)?;
        let State { log, partition, .. } = &mut *state;
        let step = partition.on_out_of_range(asked, log.latest_epoch(), found)?;
        self.step(&mut state, step, now_ms)
    }

    /// Where this replica looks wrong to its leader.
    fn step(
        self: &Arc<Self>,
        state: &mut State,
        step: NextStep,
        now_ms: i64,
    ) -> Result<Followed, FollowError> {
        let disk = |error: &StorageError| {
            self.on_disk_error(error);
            FollowError::Disk
        };
        let name = format!("{}-{}", self.topic, self.index);
        match step {
            NextStep::Stale => return Ok(Followed::Stale),
            NextStep::Append | NextStep::FetchAgain => return Ok(Followed::Done),
            NextStep::Truncate(to) => {
                let before = state.log.log_end_offset();
                let end = state.log.truncate_to(to, now_ms).map_err(|error| disk(&error))?;
                tracing::info!("{name}: cut from offset {before} to {end}, as its leader has it");
                state.partition.on_truncated(end, state.log.flushed_offset().min(end));
            }
            NextStep::StartOver(start) => {
                let emptied = state.log.truncate_fully_and_start_at(start, now_ms);
                emptied.map_err(|error| disk(&error))?;
                tracing::warn!(
                    "{name}: starts over at offset {start}, where its leader's log begins"
                );
                state.partition.on_started_over(start);
            }
        }
        state.unseen.clear();
        state.on_change();
        self.directory().note_removal();
        self.queue_flush();
        Ok(Followed::Truncated)
    }

    /// What the leader has deleted goes here too, as far as it was committed.
    fn follow_log_start(&self, state: &mut State, copied: &Copied<'_>) -> Result<(), FollowError> {
        let start = copied.log_start.min(state.partition.high_watermark());
        if start <= state.log.log_start_offset() {
            return Ok(());
        }
        let moved = state.log.delete_records_before(start, copied.now_ms);
        moved.map_err(|error| {
            self.on_disk_error(&error);
            FollowError::Disk
        })?;
        self.directory().note_removal();
        Ok(())
    }

    fn not_appended(&self, error: AppendError) -> FollowError {
        match error {
            AppendError::Storage(error) => {
                self.on_disk_error(&error);
                FollowError::Disk
            }
            error => FollowError::Unusable(error),
        }
    }
}

impl State {
    /// Tells the fetcher that a flush has ended, if it may have waited for it.
    pub(super) fn tell_fetcher(&self, hosted: &HostedPartition) {
        if !self.partition.is_leader()
            && let Some(inbox) = self.fetcher.upgrade()
        {
            inbox.on_flushed(hosted.topic_id, hosted.index);
        }
    }
}
