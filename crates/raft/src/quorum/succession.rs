//! BeginQuorumEpoch and EndQuorumEpoch: a leader makes itself known, and says goodbye.

use kalda_model::{BrokerId, LeaderEpoch};

use super::effect::RequestId;
use super::message::{Refusal, Request, ResponseBody};
use super::role::Role;
use super::voters::ReplicaKey;
use super::{Moment, Quorum};

impl Quorum {
    pub(super) fn on_begin_quorum_epoch(
        &mut self,
        id: RequestId,
        voter: ReplicaKey,
        (leader, epoch): (BrokerId, LeaderEpoch),
        at: Moment<'_>,
    ) {
        let refusal = if epoch.0 < 0 || epoch.0 == i32::MAX || leader == self.local.id {
            Some(Refusal::InvalidRequest)
        } else if epoch < self.epoch() {
            Some(Refusal::FencedLeaderEpoch)
        } else if !self.is_me(&voter) {
            Some(Refusal::InvalidVoterKey)
        } else {
            let is_news = self.learn(epoch, Some(leader), at);
            // It was about to be given up, and lives.
            if !is_news && matches!(self.role, Role::Prospective(_)) {
                self.follow(leader, at);
            }
            None
        };
        self.answer(id, refusal, ResponseBody::Plain);
    }

    pub(super) fn on_end_quorum_epoch(
        &mut self,
        id: RequestId,
        (leader, epoch): (BrokerId, LeaderEpoch),
        preferred_successors: &[ReplicaKey],
        at: Moment<'_>,
    ) {
        if epoch.0 < 0 || epoch.0 == i32::MAX || leader == self.local.id {
            return self.answer(id, Some(Refusal::InvalidRequest), ResponseBody::Plain);
        }
        if epoch < self.epoch() {
            return self.answer(id, Some(Refusal::FencedLeaderEpoch), ResponseBody::Plain);
        }
        self.learn(epoch, Some(leader), at);
        let position = preferred_successors.iter().position(|key| self.is_me(key));
        let backoff = self.settings.successor_backoff_ms(position, preferred_successors.len());
        if let Role::Follower(following) = &mut self.role
            && following.leader == leader
        {
            following.has_fetched = false;
            following.fetch_deadline = following.fetch_deadline.min(at.now + backoff);
        }
        self.answer(id, None, ResponseBody::Plain);
    }

    /// An answer to one of the two, or to what a voter said of itself.
    pub(super) fn on_plain_response(&mut self, from: BrokerId) {
        match &mut self.role {
            Role::Resigned { unacked, .. } => {
                unacked.remove(&from);
            }
            _ => self.on_announced(),
        }
    }

    /// Tells voters that do not fetch who leads; who fetches knows it.
    pub(super) fn send_begin_quorum_epoch(&mut self, at: Moment<'_>) -> i64 {
        let interval = self.settings.begin_quorum_interval_ms();
        let mut wake_at = i64::MAX;
        for voter in self.other_voters() {
            let Role::Leader(leading) = &self.role else { break };
            let fetched = leading.replicas.get(&voter).map(|progress| progress.last_fetch_ms);
            let told = leading.told_at.get(&voter.id).copied();
            let due = fetched.max(told).map_or(at.now, |last| last + interval);
            if due > at.now {
                wake_at = wake_at.min(due);
                continue;
            }
            let (leader, epoch) = (self.local.id, self.epoch());
            let request = Request::BeginQuorumEpoch { voter, leader, epoch };
            let is_ready = self.peers.ready_at(voter.id) <= at.now;
            wake_at = wake_at.min(self.send(voter.id, request, at));
            if let Role::Leader(leading) = &mut self.role
                && is_ready
            {
                leading.told_at.insert(voter.id, at.now);
            }
        }
        wake_at
    }

    pub(super) fn on_resign(&mut self) {
        if let Role::Leader(leading) = &mut self.role {
            leading.resign_requested = true;
        }
    }

    pub(super) fn poll_resigned(&mut self, at: Moment<'_>) -> i64 {
        let Role::Resigned { deadline, unacked, successors } = &self.role else { return i64::MAX };
        let deadline = *deadline;
        if at.now >= deadline {
            // It can neither follow itself nor vote in its epoch.
            if let Some(epoch) = self.election.epoch.0.checked_add(1) {
                self.become_unattached(LeaderEpoch(epoch), at);
            }
            return at.now;
        }
        let request = Request::EndQuorumEpoch {
            leader: self.local.id,
            epoch: self.epoch(),
            preferred_successors: successors.clone(),
        };
        let mut wake_at = deadline;
        for id in unacked.clone() {
            wake_at = wake_at.min(self.send(id, request.clone(), at));
        }
        wake_at
    }
}
