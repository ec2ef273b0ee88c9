//! Three real replicas, their disks and what is on its way between them, as one value.
//!
//! A node's clock stands still until the model lets a timeout pass there: then everything that it
//! waits for is over at once. A message may stay on its way for ever, which is how one is lost; it
//! vanishes when its sender asks the same node again, unless the bounds have it arrive late.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kalda_env::Rng;
use kalda_model::{BrokerId, DirectoryId, LeaderEpoch, Offset};
use kalda_raft::QuorumState;
use kalda_raft::quorum::{
    Batch, Correlation, Decision, Effect, Input, LogView, OffsetAndEpoch, Quorum, QuorumSettings,
    Request, RequestId, Response, ResponseBody, Restored, RoleName, Voter, VoterSet,
};

use crate::{Begin, Bounds, Pace};

pub(crate) const NODES: usize = 3;
/// Longer than any time that a replica waits for.
const TIMEOUT_MS: i64 = 10_000;

/// Every random time is the shortest, so that the same events lead to the same state.
#[derive(Debug)]
struct Shortest;

impl Rng for Shortest {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// What must never be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Broken {
    TwoLeaders,
    TwoVotes,
    CommittedChanged,
    CommittedTooEarly,
    LeaderLacks,
    WatermarkBack,
    Fault,
}

/// A message on its way. A sender never uses a correlation twice in one life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Packet {
    pub(crate) to: usize,
    pub(crate) asker: usize,
    life: u8,
    correlation: Correlation,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Payload {
    Request(Request),
    Response(usize, Response),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Node {
    pub(crate) quorum: Quorum,
    life: u8,
    now: i64,
    quorum_state: Option<QuorumState>,
    batches: Vec<Arc<Batch>>,
    /// So many of the batches survive a power cut.
    flushed: usize,
    /// Flushes that are going on, by where the log ended when they began.
    flushing: Vec<OffsetAndEpoch>,
    high_watermark: Offset,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) nodes: [Arc<Node>; NODES],
    flying: BTreeMap<Packet, Arc<Payload>>,
    leaders: BTreeMap<LeaderEpoch, usize>,
    votes: BTreeMap<(usize, LeaderEpoch), BrokerId>,
    pub(crate) committed: Vec<Arc<Batch>>,
    /// What may still happen.
    pub(crate) left: Bounds,
    pub(crate) broken: Option<Broken>,
}

impl State {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let voters = voters();
        let mut started = Vec::new();
        let nodes = std::array::from_fn(|index| {
            let (quorum, effects) = start(index, None, LogView::new(voters.clone(), 0), 0);
            started.push(effects);
            Arc::new(Node {
                quorum,
                life: 0,
                now: 0,
                quorum_state: None,
                batches: Vec::new(),
                flushed: 0,
                flushing: Vec::new(),
                high_watermark: Offset::ZERO,
            })
        });
        let mut state = Self {
            nodes,
            flying: BTreeMap::new(),
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            committed: Vec::new(),
            left: bounds,
            broken: None,
        };
        for (index, effects) in started.into_iter().enumerate() {
            state.perform(index, effects);
        }
        state
    }

    /// Node 0 was elected, and all that follows from that has been done.
    pub(crate) fn led(bounds: Bounds) -> Self {
        let mut state = Self::new(Bounds { timeouts: bounds.timeouts + 1, ..bounds });
        state.pass_timeout(0);
        loop {
            let next = state.packets().next();
            if let Some(index) = (0..NODES).find(|index| state.is_flushing(*index)) {
                state.flush(index);
            } else if let Some(packet) = next {
                state.deliver(packet);
            } else {
                return state;
            }
        }
    }

    pub(crate) fn packets(&self) -> impl Iterator<Item = Packet> {
        self.flying.keys().copied()
    }

    pub(crate) fn is_flushing(&self, index: usize) -> bool {
        !self.nodes[index].flushing.is_empty()
    }

    pub(crate) fn has_unflushed(&self, index: usize) -> bool {
        self.nodes[index].flushed < self.nodes[index].batches.len()
    }

    pub(crate) fn leads(&self, index: usize) -> bool {
        self.nodes[index].quorum.role() == RoleName::Leader
    }

    pub(crate) fn deliver(&mut self, packet: Packet) {
        let Some(payload) = self.flying.remove(&packet) else { return };
        let Packet { to, asker, life, correlation } = packet;
        let input = match Arc::unwrap_or_clone(payload) {
            Payload::Request(request) => {
                Input::Request { id: request_id(asker, life, correlation), request }
            }
            // The connection that the answer would come by ended with that life.
            Payload::Response(..) if self.nodes[to].life != life => return,
            Payload::Response(from, response) => {
                Input::Response { from: id(from), correlation, response }
            }
        };
        self.input(to, input);
    }

    pub(crate) fn pass_timeout(&mut self, index: usize) {
        self.left.timeouts -= 1;
        Arc::make_mut(&mut self.nodes[index]).now += TIMEOUT_MS;
        self.input(index, Input::Tick);
    }

    /// The flush that began first is over.
    pub(crate) fn flush(&mut self, index: usize) {
        let node = Arc::make_mut(&mut self.nodes[index]);
        let end = node.flushing.remove(0);
        let is_end =
            |batch: &Arc<Batch>| batch.end_offset() == end.offset && batch.epoch == end.epoch;
        if let Some(last) = node.batches.iter().rposition(is_end) {
            node.flushed = node.flushed.max(last + 1);
        }
        self.input(index, Input::Flushed(end));
    }

    pub(crate) fn write(&mut self, index: usize) {
        self.left.writes -= 1;
        let node = Arc::make_mut(&mut self.nodes[index]);
        let decision = Decision {
            epoch: node.quorum.epoch(),
            expected_end: node.quorum.log().end_offset(),
            batches: vec![(1, Bytes::copy_from_slice(&[self.left.writes]))],
        };
        let appended = node.quorum.append(decision, node.now, &Shortest);
        let (_, effects) = appended.expect("it leads and nothing came between");
        self.perform(index, effects);
    }

    /// Power is gone and comes back. What was not flushed is there after all, or it is not.
    pub(crate) fn crash(&mut self, index: usize, keeps_unflushed: bool) {
        self.left.crashes -= 1;
        let node = Arc::make_mut(&mut self.nodes[index]);
        if !keeps_unflushed {
            node.batches.truncate(node.flushed);
        }
        node.flushed = node.batches.len();
        node.flushing.clear();
        node.life += 1;
        node.high_watermark = Offset::ZERO;
        let mut log = LogView::new(voters(), 0);
        for batch in &node.batches {
            log.restore(batch);
        }
        let (quorum, effects) = start(index, node.quorum_state, log, node.now);
        node.quorum = quorum;
        let life = node.life;
        // Nobody is left who waits for these, and a question whose asker is gone is heard by nobody.
        self.flying.retain(|packet, payload| {
            let is_request = matches!(**payload, Payload::Request(_));
            packet.asker != index || packet.life == life || is_request
        });
        self.perform(index, effects);
    }

    fn input(&mut self, index: usize, input: Input) {
        let node = Arc::make_mut(&mut self.nodes[index]);
        let effects = node.quorum.handle(input, node.now, &Shortest);
        self.perform(index, effects);
    }

    fn perform(&mut self, index: usize, effects: Vec<Effect>) {
        let mut has_appended = false;
        for effect in effects {
            has_appended |= matches!(effect, Effect::Append(_));
            self.perform_one(index, effect);
        }
        if has_appended && self.left.disks == Pace::AtOnce {
            self.flush(index);
        }
    }

    fn send(&mut self, asker: usize, to: usize, correlation: Correlation, request: Request) {
        let life = self.nodes[asker].life;
        let is_older = |packet: &Packet| {
            packet.asker == asker && (packet.correlation, packet.life) != (correlation, life)
        };
        let link = |packet: &Packet, payload: &Payload| match payload {
            Payload::Request(_) => packet.to == to,
            Payload::Response(from, _) => *from == to,
        };
        let late = &mut self.left.late;
        self.flying.retain(|packet, payload| {
            let is_superseded = is_older(packet) && link(packet, payload);
            if is_superseded && *late > 0 {
                *late -= 1;
                return true;
            }
            !is_superseded
        });
        let packet = Packet { to, asker, life, correlation };
        self.flying.insert(packet, Arc::new(Payload::Request(request)));
    }

    fn perform_one(&mut self, index: usize, effect: Effect) {
        let node = Arc::make_mut(&mut self.nodes[index]);
        match effect {
            Effect::Persist(state) => {
                node.quorum_state = Some(state);
                if let Some((voted, _)) = state.voted {
                    let given = *self.votes.entry((index, state.epoch)).or_insert(voted);
                    self.demand(given == voted, Broken::TwoVotes);
                }
            }
            Effect::Append(batches) => {
                node.batches.extend(batches.into_iter().map(Arc::new));
                node.flushing.push(node.quorum.log().end());
            }
            Effect::Truncate(to) => {
                node.batches.retain(|batch| batch.base_offset < to);
                node.flushed = node.flushed.min(node.batches.len());
            }
            Effect::Send { to, correlation, request } => {
                // Who looks for a leader by asking anyone never finds one before it is told.
                if node.quorum.role() != RoleName::Unattached {
                    self.send(index, index_of(to), correlation, request);
                }
            }
            Effect::Answer { request, response } => self.answer(index, request, response),
            Effect::AnswerRecords { request, mut response, read_from } => {
                let ResponseBody::Fetch(fetch) = &mut response.body else {
                    unreachable!("records answer a fetch")
                };
                let new = node.batches.iter().filter(|batch| batch.base_offset >= read_from);
                fetch.batches = new.map(|batch| Batch::clone(batch)).collect();
                self.answer(index, request, response);
            }
            Effect::HighWatermark(to) => self.on_high_watermark(index, to),
            Effect::BecameLeader { epoch, .. } => {
                let leader = *self.leaders.entry(epoch).or_insert(index);
                self.demand(leader == index, Broken::TwoLeaders);
                let has_all = self.nodes[index].batches.starts_with(&self.committed);
                self.demand(has_all, Broken::LeaderLacks);
            }
            Effect::Fault(_) => self.demand(false, Broken::Fault),
            Effect::Resigned { .. } | Effect::Following { .. } => {}
            Effect::WriteSnapshot { .. } | Effect::AnswerSnapshot { .. } => {
                unreachable!("nobody takes snapshots here")
            }
        }
    }

    fn answer(&mut self, from: usize, request: RequestId, response: Response) {
        let (asker, life, correlation) = asked_by(request);
        if self.nodes[asker].life == life {
            let packet = Packet { to: asker, asker, life, correlation };
            self.flying.insert(packet, Arc::new(Payload::Response(from, response)));
            if self.left.answers == Pace::AtOnce {
                self.deliver(packet);
            }
        }
    }

    /// What a leader calls committed is, for ever, and is on the disks of a majority.
    fn on_high_watermark(&mut self, index: usize, to: Offset) {
        let node = Arc::make_mut(&mut self.nodes[index]);
        let has_grown = to > node.high_watermark;
        node.high_watermark = to;
        let node = &self.nodes[index];
        let end = node.batches.partition_point(|batch| batch.end_offset() <= to);
        let known = end.min(self.committed.len());
        let is_same = node.batches[..known] == self.committed[..known];
        let new = node.batches[known..end].to_vec();
        let is_leader = self.leads(index);
        let is_whole = node.batches[..end].last().map_or(Offset::ZERO, |it| it.end_offset()) == to;
        self.demand(has_grown, Broken::WatermarkBack);
        self.demand(is_same, Broken::CommittedChanged);
        // A follower only repeats what its leader said.
        self.demand(is_whole && (is_leader || new.is_empty()), Broken::CommittedTooEarly);
        self.committed.extend(new);
        if is_leader {
            let has_it = |node: &&Arc<Node>| {
                node.flushed >= end && node.batches[..end] == self.committed[..end]
            };
            let count = self.nodes.iter().filter(has_it).count();
            self.demand(count > NODES / 2, Broken::CommittedTooEarly);
        }
    }

    fn demand(&mut self, holds: bool, otherwise: Broken) {
        if !holds && self.broken.is_none() {
            self.broken = Some(otherwise);
        }
    }

    /// How many batches are committed of leaders that were elected after the beginning.
    pub(crate) fn commits_of_leaders_after(&self, begin: Begin) -> usize {
        let first = match begin {
            Begin::Unattached => 1,
            Begin::Led => 2,
        };
        self.committed.iter().filter(|batch| batch.epoch.0 >= first).count()
    }

    pub(crate) fn newest_epoch(&self) -> LeaderEpoch {
        self.nodes.iter().map(|node| node.quorum.epoch()).max().unwrap_or(LeaderEpoch(0))
    }
}

fn start(
    index: usize,
    quorum_state: Option<QuorumState>,
    log: LogView,
    now: i64,
) -> (Quorum, Vec<Effect>) {
    let directory = directory(index);
    let restored = Restored { id: id(index), directory, quorum_state, log };
    Quorum::new(restored, QuorumSettings::default(), now, &Shortest)
}

/// As `controller.quorum.voters` names them.
fn voters() -> VoterSet {
    let key = |index| kalda_raft::quorum::ReplicaKey { id: id(index), directory: None };
    VoterSet::new((0..NODES).map(|index| Voter {
        key: key(index),
        endpoints: Vec::new(),
        kraft_versions: (0, 1),
    }))
}

fn directory(index: usize) -> DirectoryId {
    let byte = u8::try_from(index + 1).expect("there are three nodes");
    DirectoryId::from_bytes([byte; 16])
}

fn id(index: usize) -> BrokerId {
    BrokerId(i32::try_from(index).expect("there are three nodes"))
}

fn index_of(id: BrokerId) -> usize {
    usize::try_from(id.0).expect("ids begin at 0")
}

/// Who asked, in which life, and how it calls that.
fn request_id(asker: usize, life: u8, correlation: Correlation) -> RequestId {
    RequestId(((asker as u64) << 56) | (u64::from(life) << 48) | correlation.0)
}

fn asked_by(RequestId(request): RequestId) -> (usize, u8, Correlation) {
    let [asker, life, ..] = request.to_be_bytes();
    (usize::from(asker), life, Correlation(request & 0xffff_ffff_ffff))
}
