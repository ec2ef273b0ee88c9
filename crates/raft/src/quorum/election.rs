//! Vote: asking for votes, giving them, counting them; with and without the pre-vote (KIP-996).

use kalda_model::{BrokerId, DirectoryId};

use super::effect::RequestId;
use super::message::{Refusal, Request, ResponseBody, VoteRequest};
use super::role::Role;
use super::voters::ReplicaKey;
use super::{Moment, Quorum};
use crate::quorum_state::QuorumState;

impl Quorum {
    pub(super) fn on_vote(&mut self, id: RequestId, vote: &VoteRequest, at: Moment<'_>) {
        let refusal = self.take_vote(vote, at).err();
        self.note_end(vote.candidate.id, vote.epoch, vote.last);
        let granted = refusal.is_none() && self.grants(vote);
        if granted && !vote.pre_vote && self.election.voted.is_none() {
            let directory = vote.candidate.directory.unwrap_or(DirectoryId::ZERO);
            let voted = Some((vote.candidate.id, directory));
            let is_newcomer = self.election.is_newcomer && !self.is_first_start(vote.last);
            self.persist(QuorumState { voted, is_newcomer, ..self.election });
            self.elects_in = is_newcomer.then_some(vote.epoch);
            self.give_up_election(at);
        }
        self.answer(id, refusal, ResponseBody::Vote { granted });
    }

    /// Whether the request makes sense, and the epoch that it tells of.
    fn take_vote(&mut self, vote: &VoteRequest, at: Moment<'_>) -> Result<(), Refusal> {
        // A candidate stands for an epoch in which nobody can have written yet.
        let is_sane = if vote.pre_vote {
            vote.last.epoch <= vote.epoch
        } else {
            vote.last.epoch < vote.epoch
        };
        if !is_sane || vote.last.offset.0 < 0 || vote.last.epoch.0 < 0 || vote.epoch.0 == i32::MAX {
            return Err(Refusal::InvalidRequest);
        }
        if vote.epoch < self.epoch() {
            return Err(Refusal::FencedLeaderEpoch);
        }
        if vote.epoch > self.epoch() {
            self.become_unattached(vote.epoch, at);
        }
        if self.is_me(&vote.voter) { Ok(()) } else { Err(Refusal::InvalidVoterKey) }
    }

    pub(super) fn is_me(&self, key: &ReplicaKey) -> bool {
        let is_any = key.directory.is_none();
        key.id == self.local.id && (is_any || key.directory == self.local.directory)
    }

    fn grants(&self, vote: &VoteRequest) -> bool {
        let is_up_to_date = self.is_up_to_date(vote.last);
        if vote.pre_vote {
            let hears_leader = match &self.role {
                Role::Leader(_) => true,
                Role::Follower(following) => following.has_fetched,
                _ => false,
            };
            return is_up_to_date && !hears_leader;
        }
        let may_vote = matches!(self.role, Role::Unattached { .. } | Role::Prospective(_));
        match self.election.voted {
            Some((id, directory)) => {
                let is_any = directory == DirectoryId::ZERO;
                let is_same = is_any || vote.candidate.directory == Some(directory);
                may_vote && id == vote.candidate.id && is_same
            }
            None => {
                let is_bound = self.may_have_voted(vote.candidate.id, vote.epoch);
                may_vote && self.election.leader.is_none() && is_up_to_date && !is_bound
            }
        }
    }

    pub(super) fn on_vote_response(&mut self, from: BrokerId, granted: bool, at: Moment<'_>) {
        let (Role::Prospective(election) | Role::Candidate(election)) = &mut self.role else {
            return;
        };
        let votes = if granted { &mut election.granted } else { &mut election.rejected };
        votes.insert(from);
        self.count_votes(at);
    }

    pub(super) fn count_votes(&mut self, at: Moment<'_>) {
        let voters = self.log.voters();
        match &self.role {
            Role::Prospective(election) if election.is_won(voters) => self.become_candidate(at),
            Role::Prospective(election) if election.is_lost(voters) => self.give_up_election(at),
            Role::Candidate(election) if election.is_won(voters) => {
                let granting = election.granted.iter().copied().collect();
                self.become_leader(granting, at);
            }
            // A lost candidate waits for the rest of its random time: nothing would be won by
            // trying again at once but another epoch.
            _ => {}
        }
    }

    pub(super) fn poll_election(&mut self, at: Moment<'_>) -> i64 {
        let (Role::Prospective(election) | Role::Candidate(election)) = &self.role else {
            return i64::MAX;
        };
        let deadline = election.deadline;
        let is_candidate = matches!(self.role, Role::Candidate(_));
        if !self.may_stand() {
            self.give_up_election(at);
            return at.now;
        }
        if at.now >= deadline {
            if is_candidate {
                self.become_prospective(at)
            } else {
                self.give_up_election(at)
            }
            return at.now;
        }
        if election.is_lost(self.log.voters()) {
            return deadline;
        }
        let counted: Vec<_> = election.granted.union(&election.rejected).copied().collect();
        let mut wake_at = deadline;
        for voter in self.other_voters() {
            if !counted.contains(&voter.id) {
                let vote = VoteRequest {
                    voter,
                    candidate: self.local,
                    epoch: self.epoch(),
                    last: self.log.end(),
                    pre_vote: !is_candidate,
                };
                wake_at = wake_at.min(self.send(voter.id, Request::Vote(vote), at));
            }
        }
        wake_at
    }
}
