//! The follower's part: where it fetches, and what the leader's answer means for its log.
//!
//! An answer counts only if nothing has changed since the fetch was sent. A history that differs is cut by leader
//! epochs, never by the high watermark (KIP-101, KIP-279, KIP-595).

use kalda_model::{BrokerId, LeaderEpoch, Offset};

use crate::effects::Effects;
use crate::partition::{Durability, Partition, Role};

/// A replica that does not lead.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Following {
    /// It must not go on under this leader: it would lose what was committed.
    is_stopped: bool,
}

/// What a follower asks its leader for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FetchPosition {
    /// Whom it asks.
    pub leader: BrokerId,
    /// Under which epoch.
    pub leader_epoch: LeaderEpoch,
    /// From where on: the end of its log, all of which counts as written.
    pub offset: Offset,
    /// The epoch of its last record; -1 if it has none.
    pub last_fetched_epoch: LeaderEpoch,
}

/// What is to be done with the log after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NextStep {
    /// Nothing: the answer is to a question that nobody asks any more.
    Stale,
    /// Cut the log here, take nothing else from the answer, and fetch again.
    Truncate(Offset),
    /// Append the records, those of later epochs than the one asked under excepted; then take over the leader's
    /// high watermark and log start.
    Append,
    /// Empty the log and go on from this offset.
    StartOver(Offset),
    /// Fetch again.
    FetchAgain,
}

/// The leader's log as it answered to an offset that it does not have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OutOfRange {
    /// Where it starts.
    pub leader_start: Offset,
    /// Where it ends.
    pub leader_end: Offset,
}

/// The leader lacks records that were committed: its disk was lost, or it was elected uncleanly. The
/// replica stops rather than lose them too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error(
    "the leader's log ends at offset {leader_end}, but everything below {high_watermark} was committed"
)]
pub struct CommittedAtRisk {
    /// To where the log would have to be cut.
    pub leader_end: Offset,
    /// What was committed.
    pub high_watermark: Offset,
}

impl Partition {
    /// What to fetch next, the newest epoch in the log being `latest`. `None` if there is nobody to ask, or as long as
    /// the log has something that does not count as written: asking for an offset says that all below it does.
    #[must_use]
    pub fn fetch_position(&self, latest: Option<LeaderEpoch>) -> Option<FetchPosition> {
        let is_written = match self.settings.durability {
            Durability::Fsync => self.flushed >= self.log_end,
            Durability::PageCache => true,
        };
        (is_written && self.is_following()).then(|| FetchPosition {
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            offset: self.log_end,
            last_fetched_epoch: latest.unwrap_or(LeaderEpoch::UNKNOWN),
        })
    }

    /// The leader answered the fetch of `asked`; the newest epoch in the log is `latest` now. `diverging` is the largest epoch not above the last fetched one that
    /// it knows, and where that ends there; `own_end` looks up the same in the own log.
    ///
    /// # Errors
    /// The log would be cut below what was committed; the replica stops until the next election.
    pub fn on_fetched(
        &mut self,
        asked: &FetchPosition,
        latest: Option<LeaderEpoch>,
        diverging: Option<(LeaderEpoch, Offset)>,
        own_end: impl FnOnce(LeaderEpoch) -> Option<(LeaderEpoch, Offset)>,
    ) -> Result<NextStep, CommittedAtRisk> {
        if !self.is_asked(asked, latest) {
            return Ok(NextStep::Stale);
        }
        let Some((epoch, leader_end)) = diverging else { return Ok(NextStep::Append) };
        let target = match own_end(epoch) {
            // Both know the epoch: what the shorter of them has of it is common.
            Some((own, end)) if own == epoch => end.min(leader_end),
            // It is not known here: only what lies before it can be common.
            Some((_, end)) => end,
            None => leader_end,
        };
        self.truncate(target.min(self.log_end))
    }

    /// The leader does not have the offset that was asked for; this is what it has.
    ///
    /// # Errors
    /// As [`Partition::on_fetched`].
    pub fn on_out_of_range(
        &mut self,
        asked: &FetchPosition,
        latest: Option<LeaderEpoch>,
        found: OutOfRange,
    ) -> Result<NextStep, CommittedAtRisk> {
        if !self.is_asked(asked, latest) {
            return Ok(NextStep::Stale);
        }
        if found.leader_end < self.log_end {
            return self.truncate(found.leader_end);
        }
        if found.leader_start > self.log_end {
            return Ok(NextStep::StartOver(found.leader_start));
        }
        Ok(NextStep::FetchAgain)
    }

    /// The log was cut, or begun anew, and ends at `log_end`. `flushed` is what of it is on disk.
    pub fn on_truncated(&mut self, log_end: Offset, flushed: Offset) {
        assert!(!self.is_leader(), "a leader never cuts its log");
        assert!(flushed <= log_end, "only what is there can be on disk");
        self.log_end = log_end;
        self.flushed = flushed;
        self.high_watermark = self.high_watermark.min(log_end);
    }

    /// The log was emptied and goes on from `start`: all before was committed, and is gone at the leader too.
    pub fn on_started_over(&mut self, start: Offset) {
        self.on_truncated(start, start);
        // It may not lie before the log (KAFKA-9491).
        self.high_watermark = start;
    }

    /// The leader told its high watermark, under the epoch that was asked under, and all that came with it is
    /// appended. Here it may go back.
    pub fn on_leader_high_watermark(&mut self, leaders: Offset, log_start: Offset) -> Effects {
        if self.is_leader() {
            return Effects::default();
        }
        let known = leaders.max(log_start).min(self.log_end);
        let has_grown = known > self.high_watermark;
        self.high_watermark = known;
        Effects { high_watermark: has_grown.then_some(known), ..Effects::default() }
    }

    /// Whether there is a leader to fetch from, now or when all is written.
    #[must_use]
    pub fn is_following(&self) -> bool {
        let is_assigned = self.replicas.contains(&self.local) && self.leader != BrokerId::NONE;
        is_assigned && matches!(&self.role, Role::Follower(following) if !following.is_stopped)
    }

    /// Whether it stopped because the leader lacks what was committed.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(&self.role, Role::Follower(following) if following.is_stopped)
    }

    /// Whether `asked` is what would be asked now: same leader, same epoch, same place (KAFKA-18991).
    fn is_asked(&self, asked: &FetchPosition, latest: Option<LeaderEpoch>) -> bool {
        let Role::Follower(following) = &self.role else { return false };
        !following.is_stopped
            && asked.leader == self.leader
            && asked.leader_epoch == self.leader_epoch
            && asked.offset == self.log_end
            && asked.last_fetched_epoch == latest.unwrap_or(LeaderEpoch::UNKNOWN)
    }

    fn truncate(&mut self, target: Offset) -> Result<NextStep, CommittedAtRisk> {
        let is_allowed = self.is_recovering || self.settings.unclean_leader_election;
        if target < self.high_watermark && !is_allowed {
            self.role = Role::Follower(Following { is_stopped: true });
            let (leader_end, high_watermark) = (target, self.high_watermark);
            return Err(CommittedAtRisk { leader_end, high_watermark });
        }
        Ok(NextStep::Truncate(target))
    }
}
