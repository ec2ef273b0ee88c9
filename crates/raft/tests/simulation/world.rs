//! The quorum and everything around it: time, nodes, network.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use kalda_model::{DirectoryId, LeaderEpoch, Offset};
use kalda_raft::SnapshotId;
use kalda_raft::quorum::{
    Body, Control, Correlation, Decision, Effect, Input, OffsetAndEpoch, Quorum, QuorumSettings,
    ReplicaKey, Request, RequestId, Response, ResponseBody, Restored, RoleName, Voter, VoterSet,
};

use crate::chance::Chance;
use crate::disk::Disk;
use crate::names::{endpoint, id, index_of, voter};
use crate::oracle::Oracle;

/// 1.5 times the fetch timeout.
const CHECK_QUORUM_MS: i64 = 3000;
/// Long enough for any chain of elections and snapshots.
const SETTLE_MS: i64 = 40_000;

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Tick,
    /// In the sender's life that it counts: the next one has other connections.
    Request {
        from: usize,
        life: u64,
        correlation: Correlation,
        request: Request,
    },
    Response {
        from: usize,
        correlation: Correlation,
        response: Response,
    },
    Broken {
        from: usize,
        correlation: Correlation,
    },
    Flushed(OffsetAndEpoch),
    SnapshotWhole(SnapshotId, u64),
    Start,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) disk: Disk,
    pub(crate) live: Option<Quorum>,
    /// Events of an earlier life are void.
    pub(crate) life: u64,
    waiting: BTreeMap<RequestId, (usize, u64, Correlation)>,
    /// When each replica was heard fetching in this node's reign.
    heard: BTreeMap<ReplicaKey, i64>,
    pub(crate) led_since: i64,
    high_watermark: Offset,
    pub(crate) is_doomed: bool,
    fetched: Vec<u8>,
    tick_at: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) cut: BTreeSet<(usize, usize)>,
    pub(crate) loss_percent: u64,
    pub(crate) double_percent: u64,
    pub(crate) delay_ms_max: i64,
    pub(crate) flush_ms_max: i64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) steps: u64,
    /// A digest of all that happened.
    pub(crate) trace: u64,
    pub(crate) chance: Chance,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) oracle: Oracle,
    pub(crate) kraft_version: i16,
    /// The operator changes the voters all the time.
    pub(crate) is_restless: bool,
    /// The voter whose disk was wiped, by its old name.
    pub(crate) wiped: Option<ReplicaKey>,
    /// What that disk held. What it acknowledged before was there.
    pub(crate) lost_disk: Option<Disk>,
    pub(crate) queue: BTreeMap<(i64, u64), (usize, u64, Event)>,
    queued: u64,
    requests: u64,
    directories: u128,
    is_verbose: bool,
}

impl World {
    pub(crate) fn new(seed: u64, is_verbose: bool) -> Self {
        let chance = Chance::new(seed);
        let voter_count = [1, 3, 3, 3, 5][chance.index(5)];
        let observer_count = chance.index(3);
        let kraft_version = i16::from(chance.percent(70));
        let is_restless = kraft_version > 0 && chance.percent(30);
        let mut world = Self::build(chance, voter_count, observer_count, kraft_version, is_verbose);
        world.is_restless = is_restless;
        world
    }

    /// Without observers, loss or long delays.
    pub(crate) fn calm(seed: u64, voter_count: usize) -> Self {
        Self::build(Chance::new(seed), voter_count, 0, 1, false)
    }

    fn build(
        chance: Chance,
        voter_count: usize,
        observer_count: usize,
        kraft_version: i16,
        is_verbose: bool,
    ) -> Self {
        let count = voter_count + observer_count;
        let network = Network { delay_ms_max: 10, flush_ms_max: 10, ..Network::default() };
        let mut world = Self {
            now: 0,
            steps: 0,
            trace: 0,
            chance,
            nodes: Vec::new(),
            network,
            oracle: Oracle::default(),
            kraft_version,
            is_restless: false,
            wiped: None,
            lost_disk: None,
            queue: BTreeMap::new(),
            queued: 0,
            requests: 0,
            directories: 0,
            is_verbose,
        };
        let directories: Vec<_> = (0..count).map(|_| world.next_directory()).collect();
        let voters = VoterSet::new(
            (0..voter_count)
                .map(|index| voter(index, (kraft_version > 0).then_some(directories[index]))),
        );
        for directory in directories {
            let disk = Disk::new(directory, (voters.clone(), kraft_version));
            world.nodes.push(Node {
                disk,
                live: None,
                life: 0,
                waiting: BTreeMap::new(),
                heard: BTreeMap::new(),
                led_since: 0,
                high_watermark: Offset::ZERO,
                is_doomed: false,
                fetched: Vec::new(),
                tick_at: 0,
            });
        }
        for index in 0..count {
            world.start(index);
        }
        world
    }

    pub(crate) fn next_directory(&mut self) -> DirectoryId {
        self.directories += 1;
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&(self.directories + 1000).to_be_bytes());
        DirectoryId::from_bytes(bytes)
    }

    pub(crate) fn key(&self, index: usize) -> ReplicaKey {
        ReplicaKey { id: id(index), directory: Some(self.nodes[index].disk.directory) }
    }

    pub(crate) fn push(&mut self, index: usize, at: i64, event: Event) {
        self.queued += 1;
        let life = self.nodes[index].life;
        self.queue.insert((at, self.queued), (index, life, event));
    }

    pub(crate) fn run_until(&mut self, time: i64) {
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > time {
                break;
            }
            let (index, life, event) = entry.remove();
            self.now = at;
            self.step(index, life, event);
        }
        self.now = time;
    }

    pub(crate) fn run_for(&mut self, duration: i64) {
        self.run_until(self.now + duration);
    }

    fn step(&mut self, index: usize, life: u64, event: Event) {
        let is_packet = matches!(event, Event::Request { .. });
        if matches!(event, Event::Start) {
            if self.nodes[index].live.is_none() {
                self.start(index);
            }
            return;
        }
        if self.nodes[index].live.is_none() || (life != self.nodes[index].life && !is_packet) {
            return;
        }
        if self.is_verbose {
            println!("{:>8} {index} {event:?}", self.now);
        }
        let Some(input) = self.input(index, event) else { return };
        let quorum = self.nodes[index].live.as_mut().unwrap();
        let effects = quorum.handle(input, self.now, &self.chance);
        self.perform(index, effects);
    }

    fn input(&mut self, index: usize, event: Event) -> Option<Input> {
        Some(match event {
            Event::Start => return None,
            Event::Tick => {
                let node = &mut self.nodes[index];
                if node.tick_at != self.now {
                    return None;
                }
                node.tick_at = i64::MAX;
                Input::Tick
            }
            Event::Request { from, life, correlation, request } => {
                self.hear(index, &request);
                self.requests += 1;
                let request_id = RequestId(self.requests);
                self.nodes[index].waiting.insert(request_id, (from, life, correlation));
                Input::Request { id: request_id, request }
            }
            Event::Response { from, correlation, response } => {
                Input::Response { from: id(from), correlation, response }
            }
            Event::Broken { from, correlation } => Input::SendFailed { to: id(from), correlation },
            Event::Flushed(end) => {
                let before = self.nodes[index].disk.flushed;
                self.nodes[index].disk.on_flushed(end);
                if before == self.nodes[index].disk.flushed {
                    self.oracle.counts.stale_flushes += 1;
                }
                Input::Flushed(end)
            }
            Event::SnapshotWhole(snapshot_id, digest) => self.install(index, snapshot_id, digest),
        })
    }

    fn install(&mut self, index: usize, snapshot_id: SnapshotId, digest: u64) -> Input {
        if self.chance.percent(5) {
            self.oracle.counts.snapshots_damaged += 1;
            return Input::SnapshotUnusable(snapshot_id);
        }
        self.oracle.counts.snapshots_installed += 1;
        let snapshot = self.oracle.snapshot(snapshot_id.end_offset).clone();
        assert_eq!((snapshot.id, snapshot.digest), (snapshot_id, digest), "a patchwork");
        Input::SnapshotInstalled(self.nodes[index].disk.install(snapshot))
    }

    fn hear(&mut self, index: usize, request: &Request) {
        let replica = match request {
            Request::Fetch(fetch) => fetch.replica,
            Request::FetchSnapshot(fetch) => fetch.replica,
            _ => return,
        };
        self.nodes[index].heard.insert(replica, self.now);
    }

    /// Does what a node decided; a doomed one dies in the midst of it.
    pub(crate) fn perform(&mut self, index: usize, effects: Vec<Effect>) {
        let mut left = usize::MAX;
        if self.nodes[index].is_doomed && !effects.is_empty() {
            left = self.chance.index(effects.len() + 1);
        }
        for effect in effects {
            if left == 0 {
                self.oracle.counts.crashes_in_midst += 1;
                self.crash(index);
                return;
            }
            left -= 1;
            if self.is_verbose {
                println!("{:>8} {index}   -> {effect:?}", self.now);
            }
            self.perform_one(index, effect);
        }
        self.check(index);
        let node = &mut self.nodes[index];
        let Some(quorum) = &node.live else { return };
        let wake_at = quorum.wake_at().max(self.now + 1);
        if quorum.wake_at() < i64::MAX && wake_at != node.tick_at {
            node.tick_at = wake_at;
            self.push(index, wake_at, Event::Tick);
        }
    }

    fn perform_one(&mut self, index: usize, effect: Effect) {
        let node = &mut self.nodes[index];
        match effect {
            Effect::Persist(state) => {
                node.disk.quorum_state = Some(state);
                self.oracle.on_persist(node.disk.directory, state);
            }
            Effect::Append(batches) => {
                assert_eq!(batches[0].base_offset, node.disk.end_offset());
                node.disk.batches.extend(batches);
                let end = node.disk.end().unwrap();
                let at = self.now + self.chance.between(1, self.network.flush_ms_max);
                self.push(index, at, Event::Flushed(end));
            }
            Effect::Truncate(to) => {
                self.oracle.counts.truncations += 1;
                assert!(to >= node.high_watermark, "cut below the high watermark");
                node.disk.truncate(to);
                let view = node.disk.view();
                let log = node.live.as_ref().unwrap().log();
                assert_eq!(log.voters(), view.voters(), "a voter set outlived its record");
                assert_eq!(log.end(), view.end());
            }
            Effect::WriteSnapshot { id, position, bytes, is_last } => {
                node.fetched.truncate(usize::try_from(position).unwrap());
                assert_eq!(node.fetched.len() as u64, position, "a hole in a snapshot");
                node.fetched.extend_from_slice(&bytes);
                if is_last {
                    self.install_soon(index, id);
                }
            }
            Effect::Send { to, correlation, request } => {
                let life = node.life;
                let event = Event::Request { from: index, life, correlation, request };
                self.transmit(index, index_of(to), event);
            }
            Effect::Answer { request, response } => self.reply(index, request, response),
            Effect::AnswerRecords { request, mut response, read_from } => {
                let ResponseBody::Fetch(fetch) = &mut response.body else { panic!("no fetch") };
                let from = node.disk.batches.partition_point(|it| it.base_offset < read_from);
                let count = 1 + self.chance.index(8);
                fetch.batches = node.disk.batches.iter().skip(from).take(count).cloned().collect();
                assert_eq!(fetch.batches[0].base_offset, read_from);
                self.reply(index, request, response);
            }
            Effect::AnswerSnapshot { request, mut response } => {
                let ResponseBody::FetchSnapshot(piece) = &mut response.body else { panic!() };
                let snapshot = node.disk.snapshot.as_ref().unwrap();
                assert_eq!(snapshot.id, piece.id);
                let bytes = Bytes::copy_from_slice(&snapshot.digest.to_be_bytes());
                piece.size = 8;
                let from = usize::try_from(piece.position).unwrap().min(8);
                piece.bytes = bytes.slice(from..(from + 3).min(8));
                self.reply(index, request, response);
            }
            Effect::HighWatermark(to) => {
                assert!(to > node.high_watermark, "the high watermark went back");
                node.high_watermark = to;
                self.oracle.on_high_watermark(&node.disk, to);
                self.assert_majority_has_it(index, to);
            }
            Effect::BecameLeader { epoch, epoch_start } => {
                assert_eq!(epoch_start, node.disk.end_offset());
                node.led_since = self.now;
                node.heard.clear();
                self.oracle.on_leader(&node.disk, epoch);
            }
            Effect::Resigned { .. } => self.oracle.counts.resignations += 1,
            Effect::Following { .. } => {}
            Effect::Fault(fault) => panic!("{fault}"),
        }
    }

    fn install_soon(&mut self, index: usize, id: SnapshotId) {
        let digest = u64::from_be_bytes(self.nodes[index].fetched.as_slice().try_into().unwrap());
        let slowest = [300, 5000][self.chance.index(2)];
        let at = self.now + self.chance.between(1, slowest);
        self.push(index, at, Event::SnapshotWhole(id, digest));
    }

    /// The point of it all: what a leader calls committed is on the disks of a majority.
    fn assert_majority_has_it(&self, index: usize, end: Offset) {
        let quorum = self.nodes[index].live.as_ref().unwrap();
        if quorum.role() != RoleName::Leader {
            return;
        }
        let Some(batch) = self.oracle.committed_up_to(end) else { return };
        // What earlier leaders wrote may still be overwritten, wherever it is.
        assert_eq!(batch.epoch, quorum.epoch(), "committed without a record of its own epoch");
        let voters = quorum.log().voters();
        let have = (0..self.nodes.len()).filter(|other| {
            voters.contains(&self.key(*other)) && self.nodes[*other].disk.has_durably(batch)
        });
        let lost = self.wiped.zip(self.lost_disk.as_ref());
        let had = lost.is_some_and(|(key, disk)| voters.contains(&key) && disk.has_durably(batch));
        let is_new = |replica: &ReplicaKey| Some(replica.id) == self.wiped.map(|key| key.id);
        let have: Vec<_> = have.map(|other| self.key(other)).collect();
        let count = have.len() + usize::from(had && !have.iter().any(is_new));
        assert!(count >= voters.majority(), "committed at {end} without a majority");
    }

    /// After every step of a node.
    fn check(&mut self, index: usize) {
        self.steps += 1;
        self.oracle.counts.steps += 1;
        let node = &self.nodes[index];
        let Some(quorum) = &node.live else { return };
        let mut hasher = DefaultHasher::new();
        (self.trace, self.now, index, self.queued, quorum.role() as u8).hash(&mut hasher);
        (quorum.epoch(), quorum.high_watermark(), node.disk.end_offset()).hash(&mut hasher);
        self.trace = hasher.finish();
        assert_eq!(quorum.log().end_offset(), node.disk.end_offset(), "the view is of another log");
        assert_eq!(quorum.high_watermark(), node.high_watermark);
        if quorum.role() == RoleName::Leader {
            let voters = quorum.log().voters();
            let since = self.now - CHECK_QUORUM_MS;
            let is_heard = |voter: &Voter| {
                let heard = node.heard.iter().any(|(key, at)| voter.is(key) && *at >= since);
                voter.is(&quorum.local()) || heard || node.led_since >= since
            };
            let heard = voters.iter().filter(|voter| is_heard(voter)).count();
            assert!(heard >= voters.majority(), "it leads {heard} of {}", voters.len());
        }
    }

    fn reply(&mut self, index: usize, request: RequestId, response: Response) {
        let asked = self.nodes[index].waiting.remove(&request);
        let Some((to, life, correlation)) = asked else { return };
        if to == usize::MAX {
            if response.refusal.is_some() {
                self.oracle.counts.voters_refused += 1;
            }
            return;
        }
        if self.nodes[to].life != life {
            return;
        }
        self.transmit(index, to, Event::Response { from: index, correlation, response });
    }

    fn transmit(&mut self, from: usize, to: usize, event: Event) {
        let chance = &self.chance;
        if self.network.cut.contains(&(from, to)) || chance.percent(self.network.loss_percent) {
            self.oracle.counts.lost += 1;
            if let Event::Request { correlation, .. } = event
                && chance.percent(50)
            {
                let at = self.now + chance.between(1, 50);
                self.push(from, at, Event::Broken { from: to, correlation });
            }
            return;
        }
        let at = self.now + chance.between(1, self.network.delay_ms_max);
        if chance.percent(self.network.double_percent) {
            self.oracle.counts.doubled += 1;
            let again = self.now + self.chance.between(1, self.network.delay_ms_max * 4);
            self.push(to, again, event.clone());
        }
        self.push(to, at, event);
    }

    pub(crate) fn start(&mut self, index: usize) {
        let bootstrap = (0..self.nodes.len()).map(id).collect();
        let node = &mut self.nodes[index];
        node.life += 1;
        let log = node.disk.view();
        node.high_watermark = log.start_offset();
        let restored = Restored {
            id: id(index),
            directory: node.disk.directory,
            quorum_state: node.disk.quorum_state,
            log,
        };
        // Static voters tell each leader where they are; the others are named as they are.
        let own = (self.kraft_version == 0).then(|| endpoint(index));
        let endpoints = own.into_iter().collect();
        let settings = QuorumSettings { bootstrap, endpoints, ..QuorumSettings::default() };
        let (quorum, effects) = Quorum::new(restored, settings, self.now, &self.chance);
        node.live = Some(quorum);
        node.tick_at = i64::MAX;
        self.perform(index, effects);
    }

    pub(crate) fn crash(&mut self, index: usize) {
        self.oracle.counts.crashes += 1;
        let node = &mut self.nodes[index];
        node.live = None;
        node.life += 1;
        node.is_doomed = false;
        node.waiting.clear();
        node.heard.clear();
        node.fetched.clear();
        node.disk.crash(&self.chance);
    }

    pub(crate) fn resign(&mut self, index: usize) {
        let Some(quorum) = &mut self.nodes[index].live else { return };
        let effects = quorum.handle(Input::Resign, self.now, &self.chance);
        self.perform(index, effects);
    }

    /// An operator's request, straight to a node.
    pub(crate) fn ask(&mut self, index: usize, request: Request) {
        self.requests += 1;
        let request_id = RequestId(self.requests);
        let node = &mut self.nodes[index];
        let Some(quorum) = &mut node.live else { return };
        node.waiting.insert(request_id, (usize::MAX, 0, Correlation(0)));
        let input = Input::Request { id: request_id, request };
        let effects = quorum.handle(input, self.now, &self.chance);
        for effect in &effects {
            if let Effect::Append(batches) = effect {
                let is_voters = |record: &Control| matches!(record, Control::Voters(_));
                assert!(batches.iter().any(|batch| match &batch.body {
                    Body::Control(records) => records.iter().any(is_voters),
                    Body::Data(_) => false,
                }));
            }
        }
        self.perform(index, effects);
    }

    /// The controller of a node writes, if the node leads.
    pub(crate) fn write(&mut self, index: usize) -> Option<Offset> {
        let quorum = self.nodes[index].live.as_mut()?;
        let number = self.chance.below(u64::MAX).to_be_bytes();
        let count = i64::try_from(1 + self.chance.below(3)).unwrap();
        let decision = Decision {
            epoch: quorum.epoch(),
            expected_end: quorum.log().end_offset(),
            batches: vec![(count, Bytes::copy_from_slice(&number))],
        };
        let (end, effects) = quorum.append(decision, self.now, &self.chance).ok()?;
        self.perform(index, effects);
        Some(end)
    }

    /// The node of the newest epoch that leads.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |index: &usize| {
            self.nodes[*index].live.as_ref().is_some_and(|it| it.role() == RoleName::Leader)
        };
        (0..self.nodes.len()).filter(leads).max_by_key(|index| self.epoch_of(*index))
    }

    pub(crate) fn epoch_of(&self, index: usize) -> LeaderEpoch {
        self.nodes[index].live.as_ref().map_or(LeaderEpoch(-1), Quorum::epoch)
    }

    pub(crate) fn is_voter(&self, index: usize) -> bool {
        self.nodes[index].live.as_ref().is_some_and(Quorum::is_voter)
    }

    /// Everything works again: there must be a leader soon, whom all follow, and its records must
    /// be committed everywhere.
    pub(crate) fn settle(&mut self) {
        let deadline = self.now + SETTLE_MS;
        let mut written: Option<(usize, LeaderEpoch, Offset)> = None;
        loop {
            assert!(self.now < deadline, "the quorum does not come back: {}", self.states());
            self.run_for(50);
            let Some(leader) = self.leader() else { continue };
            let epoch = self.epoch_of(leader);
            let end = match written {
                Some((by, in_epoch, end)) if (by, in_epoch) == (leader, epoch) => end,
                _ => {
                    let Some(end) = self.write(leader) else { continue };
                    written = Some((leader, epoch, end));
                    continue;
                }
            };
            let has_it = |node: &Node| {
                let quorum = node.live.as_ref();
                quorum.is_some_and(|it| it.high_watermark() >= end && it.epoch() == epoch)
            };
            if self.nodes.iter().all(has_it) {
                return;
            }
        }
    }

    pub(crate) fn states(&self) -> String {
        let state = |node: &Node| match &node.live {
            None => "down".to_owned(),
            Some(quorum) => format!(
                "{:?} in {} under {:?}, {:?} of {:?}, voters {:?}, wakes {}",
                quorum.role(),
                quorum.epoch(),
                quorum.leader(),
                quorum.high_watermark(),
                quorum.log().end(),
                quorum.log().voters().iter().map(|voter| voter.key.id.0).collect::<Vec<_>>(),
                quorum.wake_at(),
            ),
        };
        self.nodes.iter().map(state).collect::<Vec<_>>().join("\n")
    }
}
