//! From one role to another. Each transition writes down what must not be forgotten before
//! anything else is said in the new role.

use std::collections::{BTreeMap, BTreeSet};

use kalda_model::{BrokerId, DirectoryId, LeaderEpoch};

use super::effect::{Effect, Fault};
use super::message::{Control, Refusal, ResponseBody};
use super::role::{Election, Following, Leading, Role};
use super::voters::ReplicaKey;
use super::{Moment, Quorum};
use crate::quorum_state::QuorumState;

impl Quorum {
    /// Takes up what it was before the process ended. A leader does not go on leading: what it
    /// wrote in its epoch may be lost.
    pub(super) fn resume(&mut self, at: Moment<'_>) {
        let is_own = self.election.leader == Some(self.local.id);
        match self.election.leader {
            Some(_) if is_own => {
                self.role = Role::Resigned {
                    deadline: at.now + self.settings.random_election_ms(at.rng),
                    unacked: BTreeSet::new(),
                    successors: Vec::new(),
                };
            }
            Some(leader) => self.follow(leader, at),
            None => {}
        }
        if self.is_only_voter() {
            self.become_prospective(at);
        }
    }

    pub(super) fn is_only_voter(&self) -> bool {
        self.is_voter() && self.log.voters().len() == 1
    }

    /// Hears of an epoch, and perhaps of its leader. Answers whether that changed what this
    /// replica is.
    pub(super) fn learn(
        &mut self,
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
        at: Moment<'_>,
    ) -> bool {
        // Who knows this node as the leader of an epoch that it does not know speaks of an
        // earlier life of it, or of another disk.
        let leader = leader.filter(|leader| *leader != self.local.id);
        if epoch > self.epoch() {
            match leader {
                Some(leader) => {
                    let leader_known =
                        QuorumState { epoch, leader: Some(leader), voted: None, ..self.election };
                    self.persist(leader_known);
                    self.follow(leader, at);
                }
                None => self.become_unattached(epoch, at),
            }
            return true;
        }
        let Some(claimant) = leader.filter(|_| epoch == self.epoch()) else { return false };
        match self.election.leader {
            None => {
                let state = QuorumState { leader: Some(claimant), ..self.election };
                self.persist(state);
                self.follow(claimant, at);
                true
            }
            Some(leader) if leader != claimant => {
                self.effects.push(Effect::Fault(Fault::TwoLeaders { epoch, leader, claimant }));
                true
            }
            Some(_) => false,
        }
    }

    pub(super) fn persist(&mut self, state: QuorumState) {
        assert!(state.epoch >= self.election.epoch, "epochs never go back");
        let is_same_epoch = state.epoch == self.election.epoch;
        assert!(
            !is_same_epoch || self.election.voted.is_none() || state.voted == self.election.voted,
            "a vote is given once"
        );
        if state != self.election {
            self.election = state;
            self.effects.push(Effect::Persist(state));
        }
    }

    /// A newer epoch, of which no leader is known.
    pub(super) fn become_unattached(&mut self, epoch: LeaderEpoch, at: Moment<'_>) {
        let random = at.now + self.settings.random_election_ms(at.rng);
        // Who was about to stand for election still is: otherwise one whose log is too short
        // could put off the others for ever.
        let deadline = match &self.role {
            Role::Unattached { deadline } => *deadline,
            Role::Prospective(election) | Role::Candidate(election) => election.deadline,
            Role::Follower(following) => following.fetch_deadline.min(random),
            Role::Leader(_) | Role::Resigned { .. } => random,
        };
        self.persist(QuorumState { epoch, leader: None, voted: None, ..self.election });
        self.enter(Role::Unattached { deadline });
    }

    /// The election did not come to anything: back to what was known before.
    pub(super) fn give_up_election(&mut self, at: Moment<'_>) {
        match self.election.leader {
            Some(leader) if leader != self.local.id => self.follow(leader, at),
            _ => {
                let deadline = at.now + self.settings.random_election_ms(at.rng);
                self.enter(Role::Unattached { deadline });
            }
        }
    }

    pub(super) fn follow(&mut self, leader: BrokerId, at: Moment<'_>) {
        self.enter(Role::Follower(Following {
            leader,
            fetch_deadline: at.now + self.settings.fetch_timeout_ms,
            has_fetched: false,
            told: None,
            seen_end: None,
            complete_at: None,
            announce_at: at.now,
            snapshot: None,
        }));
        self.effects.push(Effect::Following { leader, epoch: self.election.epoch });
    }

    pub(super) fn become_prospective(&mut self, at: Moment<'_>) {
        self.enter(Role::Prospective(self.own_vote(at)));
        self.count_votes(at);
    }

    pub(super) fn become_candidate(&mut self, at: Moment<'_>) {
        let Some(epoch) = self.election.epoch.0.checked_add(1) else { return };
        let directory = self.local.directory.unwrap_or(DirectoryId::ZERO);
        self.persist(QuorumState {
            epoch: LeaderEpoch(epoch),
            leader: None,
            voted: Some((self.local.id, directory)),
            ..self.election
        });
        self.enter(Role::Candidate(self.own_vote(at)));
        self.count_votes(at);
    }

    fn own_vote(&self, at: Moment<'_>) -> Election {
        Election {
            deadline: at.now + self.settings.random_election_ms(at.rng),
            granted: BTreeSet::from([self.local.id]),
            rejected: BTreeSet::new(),
        }
    }

    /// Begins its epoch with a record of its own: only with one may it commit what others wrote.
    pub(super) fn become_leader(&mut self, granting: Vec<BrokerId>, at: Moment<'_>) {
        let epoch = self.election.epoch;
        assert!(self.log.end().epoch < epoch, "nobody wrote in an epoch before its leader");
        let leader = Some(self.local.id);
        self.persist(QuorumState { leader, is_newcomer: false, ..self.election });
        let epoch_start = self.log.end_offset();
        self.enter(Role::Leader(Box::new(Leading {
            epoch_start,
            since: at.now,
            replicas: BTreeMap::new(),
            parked: BTreeMap::new(),
            announced: BTreeMap::new(),
            adding: None,
            change: None,
            told_at: BTreeMap::new(),
            resign_requested: false,
        })));
        let voters = self.log.voters().iter().map(|voter| voter.key).collect();
        let change = Control::LeaderChange { leader: self.local.id, voters, granting };
        self.effects.push(Effect::BecameLeader { epoch, epoch_start });
        let mut records = vec![change];
        let is_unwritten = self.log.has_unwritten_voters();
        // Other endpoints make no other majority: this need not wait for a commit.
        let moved = self.voters_with_own_endpoints();
        if is_unwritten {
            // So far they are only in the checkpoint that this node was formatted with.
            records.push(Control::KRaftVersion(self.log.kraft_version()));
        }
        if is_unwritten || moved.is_some() {
            let voters = moved.unwrap_or_else(|| self.log.voters().clone());
            records.push(Control::Voters(voters));
        }
        self.append_control(records);
    }

    /// Stays the leader of its epoch by name, so that it votes for nobody else in it.
    pub(super) fn become_resigned(&mut self, at: Moment<'_>) {
        let successors = self.voters_by_end_offset();
        let unacked = successors.iter().map(|key: &ReplicaKey| key.id).collect();
        let deadline = at.now + self.settings.random_election_ms(at.rng);
        self.enter(Role::Resigned { deadline, unacked, successors });
    }

    fn enter(&mut self, role: Role) {
        self.peers.reset();
        let Role::Leader(leading) = std::mem::replace(&mut self.role, role) else { return };
        // The epoch of the leadership that ended is that of its first record.
        let epoch = self.log.end().epoch;
        self.effects.push(Effect::Resigned { epoch });
        let parked = leading.parked.values().map(|parked| parked.request);
        let changes = leading.change.iter().filter_map(|change| change.request);
        let adding = leading.adding.iter().map(|adding| adding.request);
        for request in parked.chain(changes).chain(adding) {
            self.answer(request, Some(Refusal::NotLeader), ResponseBody::Plain);
        }
    }
}
