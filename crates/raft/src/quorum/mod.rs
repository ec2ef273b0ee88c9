//! One replica of the quorum, as a pure state machine (KIP-595, KIP-630, KIP-853, KIP-996).
//!
//! Called by the loop of the controller: something happened, and the time, go in; what has to be
//! done comes out, in order. It must never read a clock, draw from another source than the one
//! handed in, or wait. What it says of itself to others is behind the effect that makes it durable.

mod append;
mod check;
mod effect;
mod election;
mod follow;
mod kraft_version;
mod log_view;
mod message;
mod newcomer;
mod peers;
mod reconfiguration;
mod role;
mod serve_fetch;
mod settings;
mod succession;
mod transition;
mod voters;
mod watermark;

use std::collections::{BTreeMap, BTreeSet};

use kalda_env::Rng;
use kalda_model::{BrokerId, DirectoryId, LeaderEpoch, Offset};

pub use append::Decision;
pub use effect::{AppendRefused, Correlation, Effect, Fault, Input, ReplicaProgress, RequestId};
pub use kraft_version::UpgradeRefused;
pub use log_view::{LogView, OffsetAndEpoch};
pub use message::{
    Batch, Body, Control, FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse,
    Refusal, Request, Response, ResponseBody, VoteRequest,
};
use newcomer::Heard;
use peers::Peers;
use role::Role;
pub use role::RoleName;
pub use settings::QuorumSettings;
pub use voters::{ReplicaKey, Voter, VoterEndpoint, VoterSet};

use crate::quorum_state::QuorumState;
use crate::snapshot::SnapshotId;

/// What a replica finds on its disk at the start.
#[derive(Clone, PartialEq, Debug)]
pub struct Restored {
    /// The node's id.
    pub id: BrokerId,
    /// The id of the directory that holds the log.
    pub directory: DirectoryId,
    /// The file, if there was one.
    pub quorum_state: Option<QuorumState>,
    /// The log.
    pub log: LogView,
}

/// The time and chance that one event has.
#[derive(Clone, Copy)]
struct Moment<'a> {
    now: i64,
    rng: &'a dyn Rng,
}

/// A replica: a voter, or an observer that fetches and never stands for election. A value: two that
/// are equal go on alike.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Quorum {
    settings: QuorumSettings,
    local: ReplicaKey,
    /// What is on disk of the newest election.
    election: QuorumState,
    role: Role,
    log: LogView,
    /// Never goes back. Everything below is committed.
    high_watermark: Offset,
    peers: Peers,
    /// Of the other voters, while this one is a newcomer.
    heard: BTreeMap<BrokerId, Heard>,
    /// The epoch for which this one, a newcomer, gave its vote in this life.
    elects_in: Option<LeaderEpoch>,
    /// No node is asked for the leader before.
    discover_at: i64,
    /// The snapshot whose log the shell puts in the place of this one.
    installing: Option<SnapshotId>,
    wake_at: i64,
    effects: Vec<Effect>,
}

impl Quorum {
    /// A replica that was just started, and what it does first.
    #[must_use]
    pub fn new(
        restored: Restored,
        settings: QuorumSettings,
        now_ms: i64,
        rng: &dyn Rng,
    ) -> (Self, Vec<Effect>) {
        let log_epoch = restored.log.end().epoch;
        let own = restored.log.voters().voter(restored.id);
        let is_static = own.is_some_and(|voter| voter.key.directory.is_none());
        let is_newcomer = is_static && restored.log.end_offset() == Offset::ZERO;
        let none = QuorumState { epoch: LeaderEpoch(0), leader: None, voted: None, is_newcomer };
        let known = restored.quorum_state.unwrap_or(none);
        // The file may be older than the log only if it was lost: its votes are for epochs that
        // are over.
        let election = if known.epoch < log_epoch {
            QuorumState { epoch: log_epoch, leader: None, voted: None, ..known }
        } else {
            known
        };
        let high_watermark = restored.log.start_offset();
        let mut quorum = Self {
            local: ReplicaKey { id: restored.id, directory: Some(restored.directory) },
            role: Role::Unattached { deadline: now_ms + settings.random_election_ms(rng) },
            settings,
            election,
            log: restored.log,
            high_watermark,
            peers: Peers::default(),
            heard: BTreeMap::new(),
            elects_in: None,
            discover_at: now_ms,
            installing: None,
            wake_at: now_ms,
            effects: Vec::new(),
        };
        let at = Moment { now: now_ms, rng };
        quorum.resume(at);
        let effects = quorum.finish(at);
        (quorum, effects)
    }

    /// Takes an event and tells what to do about it, in order.
    pub fn handle(&mut self, input: Input, now_ms: i64, rng: &dyn Rng) -> Vec<Effect> {
        let at = Moment { now: now_ms, rng };
        match input {
            Input::Tick => {}
            Input::Request { id, request } => self.on_request(id, request, at),
            Input::Response { from, correlation, response } => {
                self.on_response(from, correlation, response, at);
            }
            Input::SendFailed { to, correlation } => {
                self.peers.on_answer(to, correlation, self.retry_at(at));
            }
            Input::Gone(node) => self.on_gone(node, at),
            Input::Flushed(up_to) => {
                self.log.on_flushed(up_to);
                self.settle_in();
                self.advance_high_watermark(at);
            }
            Input::SnapshotTaken(id) => self.on_snapshot_taken(id),
            Input::SnapshotInstalled(log) => self.on_snapshot_installed(log),
            Input::SnapshotUnusable(id) => self.on_snapshot_unusable(id, at),
            Input::Resign => self.on_resign(),
        }
        self.finish(at)
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn wake_at(&self) -> i64 {
        self.wake_at
    }

    /// What this replica is.
    #[must_use]
    pub fn role(&self) -> RoleName {
        self.role.name()
    }

    /// Its id and directory.
    #[must_use]
    pub fn local(&self) -> ReplicaKey {
        self.local
    }

    /// The newest epoch that it knows.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.election.epoch
    }

    /// The leader of that epoch, if known.
    #[must_use]
    pub fn leader(&self) -> Option<BrokerId> {
        self.election.leader
    }

    /// Everything below is committed.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The outline of its log.
    #[must_use]
    pub fn log(&self) -> &LogView {
        &self.log
    }

    /// Whether this replica votes.
    #[must_use]
    pub fn is_voter(&self) -> bool {
        self.log.voters().contains(&self.local)
    }

    fn on_request(&mut self, id: RequestId, request: Request, at: Moment<'_>) {
        match request {
            Request::Vote(vote) => self.on_vote(id, &vote, at),
            Request::BeginQuorumEpoch { voter, leader, epoch } => {
                self.on_begin_quorum_epoch(id, voter, (leader, epoch), at);
            }
            Request::EndQuorumEpoch { leader, epoch, preferred_successors } => {
                self.on_end_quorum_epoch(id, (leader, epoch), &preferred_successors, at);
            }
            Request::Fetch(fetch) => self.on_fetch(id, &fetch, at),
            Request::FetchSnapshot(fetch) => self.on_fetch_snapshot(id, &fetch, at),
            Request::AddVoter { voter, timeout_ms } => self.on_add_voter(id, voter, timeout_ms, at),
            Request::RemoveVoter { voter } => self.on_remove_voter(id, voter, at),
            Request::UpdateVoter { epoch, voter } => self.on_update_voter(id, epoch, voter, at),
        }
    }

    fn on_response(
        &mut self,
        from: BrokerId,
        correlation: Correlation,
        response: Response,
        at: Moment<'_>,
    ) {
        let is_refused = response.refusal.is_some();
        let ready_at = if is_refused { self.retry_at(at) } else { at.now };
        if !self.peers.on_answer(from, correlation, ready_at) || response.epoch < self.epoch() {
            return;
        }
        if self.learn(response.epoch, response.leader, at) {
            return;
        }
        match response.body {
            // A voter with another disk, who refuses to answer for the old one, is no vote either.
            ResponseBody::Vote { granted } => {
                self.on_vote_response(from, granted && !is_refused, at);
            }
            ResponseBody::Fetch(fetch) if !is_refused => self.on_fetch_response(from, fetch, at),
            ResponseBody::FetchSnapshot(piece) if !is_refused => {
                self.on_snapshot_response(from, piece, at);
            }
            ResponseBody::FetchSnapshot(_) => self.restart_snapshot(),
            ResponseBody::Plain if !is_refused => self.on_plain_response(from),
            _ => {}
        }
    }

    /// Does what is due, and hands out all that has to be done.
    fn finish(&mut self, at: Moment<'_>) -> Vec<Effect> {
        // A replica alone goes from unattached to leader at once; no chain of transitions is
        // longer.
        for _ in 0..6 {
            let before = (self.role(), self.epoch());
            self.wake_at = self.poll(at);
            if before == (self.role(), self.epoch()) {
                break;
            }
        }
        self.check();
        std::mem::take(&mut self.effects)
    }

    fn poll(&mut self, at: Moment<'_>) -> i64 {
        match &self.role {
            Role::Unattached { deadline } => {
                let deadline = *deadline;
                self.poll_unattached(deadline, at)
            }
            Role::Prospective(_) | Role::Candidate(_) => self.poll_election(at),
            Role::Follower(_) => self.poll_follower(at),
            Role::Leader(_) => self.poll_leader(at),
            Role::Resigned { .. } => self.poll_resigned(at),
        }
    }

    fn retry_at(&self, at: Moment<'_>) -> i64 {
        at.now + self.settings.retry_backoff_ms
    }

    fn answer(&mut self, request: RequestId, refusal: Option<Refusal>, body: ResponseBody) {
        let response = self.response(refusal, body);
        self.effects.push(Effect::Answer { request, response });
    }

    fn response(&self, refusal: Option<Refusal>, body: ResponseBody) -> Response {
        Response { refusal, epoch: self.election.epoch, leader: self.election.leader, body }
    }

    /// Sends to `to` unless it owes an answer or rests from a failure. Answers when to look again.
    fn send(&mut self, to: BrokerId, request: Request, at: Moment<'_>) -> i64 {
        let ready_at = self.peers.ready_at(to);
        if ready_at > at.now {
            return ready_at;
        }
        let deadline = at.now + self.settings.request_timeout_ms;
        let correlation = self.peers.on_sent(to, deadline);
        self.effects.push(Effect::Send { to, correlation, request });
        deadline
    }

    /// The voters but this one.
    fn other_voters(&self) -> Vec<ReplicaKey> {
        let others = self.log.voters().iter().filter(|voter| !voter.is(&self.local));
        others.map(|voter| voter.key).collect()
    }

    /// Somebody who may know the leader.
    fn any_peer(&self, at: Moment<'_>) -> Option<BrokerId> {
        let voters = self.log.voters().iter().map(|voter| voter.key.id);
        let known: BTreeSet<_> = voters.chain(self.settings.bootstrap.iter().copied()).collect();
        let others: Vec<_> = known.into_iter().filter(|id| *id != self.local.id).collect();
        let index = usize::try_from(at.rng.below(others.len() as u64)).unwrap_or(0);
        others.get(index).copied()
    }
}
