//! One replica on a bench: its peers are what the test says for them.

use std::collections::BTreeMap;

use bytes::Bytes;
use kalda_env::Rng;
use kalda_model::{BrokerId, DirectoryId, LeaderEpoch, Offset};
use kalda_raft::QuorumState;
use kalda_raft::quorum::{
    Correlation, Decision, Effect, Input, LogView, Quorum, QuorumSettings, ReplicaKey, Request,
    RequestId, Response, ResponseBody, Restored, RoleName, UpgradeRefused, Voter, VoterSet,
};

/// Every random time is the shortest.
#[derive(Debug)]
struct Shortest;

impl Rng for Shortest {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

pub(crate) fn key(id: i32) -> ReplicaKey {
    let byte = u8::try_from(id).unwrap();
    ReplicaKey { id: BrokerId(id), directory: Some(DirectoryId::from_bytes([byte; 16])) }
}

/// Voters 1 to `count`, as records name them.
pub(crate) fn voters(count: i32) -> VoterSet {
    VoterSet::new((1..=count).map(|id| Voter {
        key: key(id),
        endpoints: Vec::new(),
        kraft_versions: (0, 1),
    }))
}

/// Voters 1 to `count`, as `controller.quorum.voters` names them.
pub(crate) fn static_voters(count: i32) -> VoterSet {
    VoterSet::new(voters(count).iter().cloned().map(|mut voter| {
        voter.key.directory = None;
        voter
    }))
}

pub(crate) struct One {
    pub(crate) quorum: Quorum,
    pub(crate) now: i64,
    state: Option<QuorumState>,
    sent: BTreeMap<BrokerId, (Correlation, Request)>,
    requests: u64,
}

impl One {
    /// With an empty log under these voters.
    pub(crate) fn new(id: i32, voters: VoterSet) -> Self {
        Self::with_settings(id, voters, QuorumSettings::default())
    }

    pub(crate) fn with_settings(id: i32, voters: VoterSet, settings: QuorumSettings) -> Self {
        let is_static = voters.iter().any(|voter| voter.key.directory.is_none());
        Self::start(id, LogView::new(voters, i16::from(!is_static)), None, 0, settings)
    }

    pub(crate) fn restored(id: i32, log: LogView) -> Self {
        Self::start(id, log, None, 0, QuorumSettings::default())
    }

    fn start(
        id: i32,
        log: LogView,
        quorum_state: Option<QuorumState>,
        now: i64,
        settings: QuorumSettings,
    ) -> Self {
        let directory = key(id).directory.unwrap();
        let restored = Restored { id: BrokerId(id), directory, quorum_state, log };
        let (quorum, effects) = Quorum::new(restored, settings, now, &Shortest);
        let sent = BTreeMap::new();
        let mut one = Self { quorum, now, state: quorum_state, sent, requests: 0 };
        one.note(&effects);
        one
    }

    /// The same disk, all of it flushed, a new life.
    pub(crate) fn restart(self) -> Self {
        let id = self.quorum.local().id.0;
        Self::start(id, self.quorum.log().clone(), self.state, self.now, QuorumSettings::default())
    }

    fn note(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Persist(state) => self.state = Some(*state),
                Effect::Send { to, correlation, request } => {
                    self.sent.insert(*to, (*correlation, request.clone()));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn input(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.quorum.handle(input, self.now, &Shortest);
        self.note(&effects);
        effects
    }

    pub(crate) fn request(&mut self, request: Request) -> Vec<Effect> {
        self.requests += 1;
        self.input(Input::Request { id: RequestId(self.requests), request })
    }

    pub(crate) fn tick_at(&mut self, now: i64) -> Vec<Effect> {
        self.now = now;
        self.input(Input::Tick)
    }

    /// What it asked since this was asked last.
    pub(crate) fn take_sent(&mut self) -> Vec<(BrokerId, Correlation, Request)> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().map(|(to, (correlation, request))| (to, correlation, request)).collect()
    }

    pub(crate) fn answers(&self, effects: &[Effect]) -> Vec<Response> {
        let of = |effect: &Effect| match effect {
            Effect::Answer { response, .. }
            | Effect::AnswerRecords { response, .. }
            | Effect::AnswerSnapshot { response, .. } => Some(response.clone()),
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    }

    /// Answers what was sent to `from` last.
    pub(crate) fn respond(
        &mut self,
        from: i32,
        epoch: i32,
        leader: Option<i32>,
        body: ResponseBody,
    ) -> Vec<Effect> {
        let from = BrokerId(from);
        let (correlation, _) = self.sent.remove(&from).expect("it was asked something");
        let leader = leader.map(BrokerId);
        let response = Response { refusal: None, epoch: LeaderEpoch(epoch), leader, body };
        self.input(Input::Response { from, correlation, response })
    }

    pub(crate) fn grant(&mut self, from: i32) -> Vec<Effect> {
        let epoch = self.quorum.epoch().0;
        self.respond(from, epoch, None, ResponseBody::Vote { granted: true })
    }

    pub(crate) fn reject(&mut self, from: i32) -> Vec<Effect> {
        let epoch = self.quorum.epoch().0;
        self.respond(from, epoch, None, ResponseBody::Vote { granted: false })
    }

    /// Until it asks whether it would win.
    pub(crate) fn wait_for_election(&mut self) {
        for _ in 0..20 {
            if self.quorum.role() == RoleName::Prospective {
                return;
            }
            self.tick_at(self.quorum.wake_at().max(self.now + 1));
        }
        panic!("it never stood for election: {:?}", self.quorum.role());
    }

    /// The voters with the lowest ids elect it.
    pub(crate) fn elect(&mut self) {
        self.wait_for_election();
        for role in [RoleName::Candidate, RoleName::Leader] {
            for id in 2.. {
                if self.quorum.role() == role {
                    break;
                }
                self.grant(id);
            }
        }
        assert_eq!(self.quorum.role(), RoleName::Leader);
    }

    pub(crate) fn flush(&mut self) -> Vec<Effect> {
        self.input(Input::Flushed(self.quorum.log().end()))
    }

    pub(crate) fn upgrade(&mut self, version: i16) -> Result<Offset, UpgradeRefused> {
        let (end, effects) = self.quorum.upgrade(version, self.now, &Shortest)?;
        self.note(&effects);
        Ok(end)
    }

    /// The controller appends `count` records, one batch each.
    pub(crate) fn write(&mut self, count: usize) -> Offset {
        let decision = Decision {
            epoch: self.quorum.epoch(),
            expected_end: self.quorum.log().end_offset(),
            batches: vec![(1, Bytes::from_static(b"x")); count],
        };
        let (end, effects) = self.quorum.append(decision, self.now, &Shortest).unwrap();
        self.note(&effects);
        end
    }
}
