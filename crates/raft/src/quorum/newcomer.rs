//! A voter of a static set whose disk is empty: its first start, or a disk that was replaced.
//!
//! Nothing tells the one from the other, for a static set (`kraft.version` 0) knows its voters by
//! their ids alone. One that votes on what it has forgotten makes a majority with one that lags
//! behind, and elects a leader that lacks what is committed; or it follows a leader that was replaced
//! long ago, and the two of them commit. So before its log has been complete once, a newcomer fetches
//! without a name, and does not vote by its own log. It goes by the longest log of the other voters,
//! once it has heard from all of them in this life: what it had acknowledged and is committed is in
//! one of those too. While nobody is known to have anything it votes as ever, or no cluster would
//! begin; that vote makes it a voter like the others. Two empty disks of three are therefore a first
//! start, whatever they were before.

use kalda_model::{BrokerId, LeaderEpoch, Offset};

use super::Quorum;
use super::log_view::OffsetAndEpoch;
use super::role::Role;
use super::voters::ReplicaKey;
use crate::quorum_state::QuorumState;

/// What a newcomer heard from another voter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Heard {
    epoch: LeaderEpoch,
    end: OffsetAndEpoch,
}

impl Quorum {
    /// Whether voters ask it for votes that it does not give because its disk was empty.
    #[must_use]
    pub fn withholds_votes(&self) -> bool {
        let is_leaderless = !matches!(self.role, Role::Follower(_));
        let mut ends = self.heard.values().map(|heard| heard.end.offset);
        is_leaderless && self.election.is_newcomer && ends.any(|end| end > Offset::ZERO)
    }

    /// A voter said which epoch it knows and how far its log is, to ask for a vote or for records.
    pub(super) fn note_end(&mut self, voter: BrokerId, epoch: LeaderEpoch, end: OffsetAndEpoch) {
        let is_other = voter != self.local.id && self.log.voters().voter(voter).is_some();
        if is_other && self.election.is_newcomer {
            let heard = self.heard.entry(voter).or_insert(Heard { epoch, end });
            *heard = Heard { epoch: heard.epoch.max(epoch), end: heard.end.max(end) };
        }
    }

    /// Whether a log that ends at `end` may hold all that this voter has ever acknowledged.
    pub(super) fn is_up_to_date(&self, end: OffsetAndEpoch) -> bool {
        let is_longest = || {
            let others = self.other_voters();
            others.iter().all(|other| self.heard.get(&other.id).is_some_and(|it| end >= it.end))
        };
        let is_up_to_date = end >= self.log.end();
        is_up_to_date && (!self.election.is_newcomer || self.is_first_start(end) || is_longest())
    }

    /// Whether nobody is known to have anything.
    pub(super) fn is_first_start(&self, end: OffsetAndEpoch) -> bool {
        let mut ends = self.heard.values().map(|heard| heard.end).chain([end, self.log.end()]);
        ends.all(|end| end.offset == Offset::ZERO)
    }

    /// Whether this voter may have voted in `epoch` before it lost its disk: whoever it voted for
    /// knows the epoch.
    pub(super) fn may_have_voted(&self, candidate: BrokerId, epoch: LeaderEpoch) -> bool {
        let mut others = self.heard.iter().filter(|(voter, _)| **voter != candidate);
        self.election.is_newcomer && others.any(|(_, heard)| heard.epoch >= epoch)
    }

    /// Who it says that it is when it fetches. A leader that it did not help to elect may be one of the
    /// past, as it has forgotten of which epochs it knew, and must commit nothing on the strength of it.
    pub(super) fn fetches_as(&self) -> ReplicaKey {
        let is_nameless = self.election.is_newcomer && self.elects_in != Some(self.epoch());
        let id = if is_nameless { BrokerId::NONE } else { self.local.id };
        ReplicaKey { id, ..self.local }
    }

    /// The leader's answer says what is committed. When its log ended at `seen_end` in this life, and
    /// more of its epoch is committed now, then it leads now, and knows all that was acknowledged. So
    /// does one that this voter helped to elect.
    pub(super) fn note_committed(&mut self, committed: Offset, has_more: bool) {
        let end = self.log.end_offset();
        let (epoch, last) = (self.epoch(), self.log.end_before(committed.min(end)).epoch);
        let Role::Follower(following) = &mut self.role else { return };
        if !self.election.is_newcomer || committed > end {
            return;
        }
        let is_of_today = following.seen_end.is_some_and(|seen| committed > seen);
        if (is_of_today || self.elects_in == Some(epoch)) && last == epoch {
            following.complete_at = Some(committed);
        }
        if !has_more {
            following.seen_end = following.seen_end.or(Some(end));
        }
        self.settle_in();
    }

    /// Once all of that is on its disk it is a voter like the others.
    pub(super) fn settle_in(&mut self) {
        let Role::Follower(following) = &self.role else { return };
        if following.complete_at.is_some_and(|end| self.log.flushed_offset() >= end) {
            self.persist(QuorumState { is_newcomer: false, ..self.election });
            self.heard.clear();
        }
    }
}
