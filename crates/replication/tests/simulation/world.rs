//! The replicas and everything around them: time, network, disks, the controller, clients.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use kalda_replication::{
    Acks, AlterAnswer, AlterRefused, Durability, Effects, FetchPosition, NewRole, NextStep,
    Partition, Proposal, Refused, ReplicaFetch, Settings,
};

use crate::chance::Chance;
use crate::controller::{Controller, View, at};
use crate::disk::{Disk, Record};
use crate::oracle::Oracle;

pub(crate) const LAG_MS_MAX: i64 = 300;
const TICK_MS: i64 = 10;
/// A fetch that was lost is given up after this.
const FETCH_TIMEOUT_MS: i64 = 150;
/// Long enough for everybody to catch up and to be taken in again.
const SETTLE_MS: i64 = 4000;

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Metadata(Rc<View>),
    Fetch { from: usize, epoch: BrokerEpoch, asked: FetchPosition },
    Fetched { asked: FetchPosition, body: Body },
    Answer { number: u64, answer: AlterAnswer },
    Flushed { upto: usize, generation: u64 },
    Tick,
    Start,
}

/// What a leader answers a replica.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Diverging(LeaderEpoch, Offset),
    Records { records: Vec<Record>, high_watermark: Offset },
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: BrokerId,
    pub(crate) disk: Disk,
    pub(crate) live: Option<Live>,
    /// Events of an earlier life are void.
    pub(crate) life: u64,
    /// The metadata as it knows them.
    view: Rc<View>,
    pub(crate) is_cut_off: bool,
    pub(crate) has_lost_data: bool,
}

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) partition: Partition,
    epoch: BrokerEpoch,
    asked_at: Option<i64>,
    waits: Vec<(Offset, u64)>,
    ticks: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) chance: Chance,
    pub(crate) nodes: Vec<Node>,
    pub(crate) controller: Controller,
    pub(crate) oracle: Oracle,
    pub(crate) durability: Durability,
    pub(crate) is_calm: bool,
    pub(crate) is_verbose: bool,
    pub(crate) produces: bool,
    /// A digest of all that happened.
    pub(crate) trace: u64,
    queue: BTreeMap<(i64, u64), (usize, u64, Event)>,
    sequence: u64,
    values: u64,
    told_version: u64,
}

impl World {
    pub(crate) fn new(seed: u64, is_verbose: bool) -> Self {
        let mut chance = Chance::new(seed);
        let count = i32::try_from(chance.between(3, 5)).unwrap();
        let all: Vec<BrokerId> = (0..count).map(BrokerId).collect();
        let min_isr = chance.index(2) + 1;
        let durability = if chance.percent(70) { Durability::Fsync } else { Durability::PageCache };
        let controller = Controller::new(&all[..3], &all, min_isr);
        let view = Rc::new(controller.view.clone());
        let node = |id: &BrokerId| Node {
            id: *id,
            disk: Disk::default(),
            live: None,
            life: 0,
            view: Rc::clone(&view),
            is_cut_off: false,
            has_lost_data: false,
        };
        let mut world = Self {
            now: 0,
            nodes: all.iter().map(node).collect(),
            chance,
            controller,
            oracle: Oracle::default(),
            durability,
            is_calm: false,
            is_verbose,
            produces: true,
            trace: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            values: 0,
            told_version: 0,
        };
        for index in 0..world.nodes.len() {
            let epoch = BrokerEpoch(i64::from(world.nodes[index].id.0));
            world.begin_life(index, epoch);
        }
        world
    }

    /// Lets time pass.
    pub(crate) fn run_until(&mut self, end: i64) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let (now, _) = *entry.key();
            let (index, life, event) = entry.remove();
            self.now = now;
            self.step(index, life, event);
            self.tell_metadata();
        }
        self.now = end;
    }

    /// Ends all faults and waits until everybody is in sync; then all must agree.
    pub(crate) fn settle(&mut self) {
        self.is_calm = true;
        for index in 0..self.nodes.len() {
            self.nodes[index].is_cut_off = false;
            if self.nodes[index].live.is_none() {
                self.start(index);
            }
            let id = self.nodes[index].id;
            if let Some(broker) = self.controller.view.brokers.get_mut(&id)
                && broker.is_stopping
            {
                // It thought better of it.
                broker.is_stopping = false;
                self.controller.view.version += 1;
            }
        }
        self.run_until(self.now + SETTLE_MS / 2);
        for index in 0..self.nodes.len() {
            self.unfence(index);
        }
        self.produces = false;
        self.run_until(self.now + SETTLE_MS / 2);
        let view = self.controller.view.clone();
        assert!(view.leader != BrokerId::NONE, "nobody leads at the end: {view:?}");
        let (mut isr, mut replicas) = (view.isr.clone(), view.replicas.clone());
        isr.sort_unstable();
        replicas.sort_unstable();
        assert_eq!(isr, replicas, "not all are in sync at the end: {view:?}");
        let leader = self.index_of(view.leader);
        let end = self.nodes[leader].disk.end();
        let live = self.nodes[leader].live.as_ref().unwrap();
        assert_eq!(live.partition.high_watermark(), end, "not all is committed at the end");
        for id in &view.replicas {
            let node = &self.nodes[self.index_of(*id)];
            assert_eq!(node.disk.end(), end, "replica {id} is behind");
            self.oracle.assert_whole(&node.disk.log);
        }
    }

    pub(crate) fn index_of(&self, id: BrokerId) -> usize {
        usize::try_from(id.0).unwrap()
    }

    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if self.is_verbose {
            println!("{:>6} {}", self.now, text());
        }
    }

    /// Ends a life; the disk stays as it is.
    pub(crate) fn stop(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.live = None;
        node.life += 1;
    }

    /// Begins a new one.
    pub(crate) fn start(&mut self, index: usize) {
        let has_lost_data = std::mem::take(&mut self.nodes[index].has_lost_data);
        let epoch = self.controller.register(self.nodes[index].id, has_lost_data);
        self.say(|| format!("{index} starts under {epoch:?}"));
        self.nodes[index].disk.recover();
        self.nodes[index].view = Rc::new(self.controller.view.clone());
        self.begin_life(index, epoch);
    }

    pub(crate) fn unfence(&mut self, index: usize) {
        if let Some(live) = &self.nodes[index].live {
            let epoch = live.epoch;
            self.controller.unfence(self.nodes[index].id, epoch);
        }
    }

    fn begin_life(&mut self, index: usize, epoch: BrokerEpoch) {
        let settings = Settings {
            durability: self.durability,
            min_insync_replicas: self.controller.min_isr,
            unclean_leader_election: false,
            lag_time_max_ms: LAG_MS_MAX,
        };
        let node = &mut self.nodes[index];
        let partition =
            Partition::new(node.id, settings, node.disk.end(), node.disk.high_watermark);
        node.live = Some(Live { partition, epoch, asked_at: None, waits: Vec::new(), ticks: 0 });
        let view = Rc::clone(&node.view);
        self.on_metadata(index, view);
        let delay = self.chance.between(1, TICK_MS);
        self.post(index, delay, Event::Tick);
    }

    pub(crate) fn post(&mut self, to: usize, delay: i64, event: Event) {
        self.sequence += 1;
        let life = self.nodes[to].life;
        self.queue.insert((self.now + delay, self.sequence), (to, life, event));
    }

    /// Over the network: late, twice or never.
    fn send(&mut self, from: usize, to: usize, event: Event) {
        let is_lost = self.nodes[from].is_cut_off
            || self.nodes[to].is_cut_off
            || !self.is_calm && self.chance.percent(3);
        if is_lost {
            self.oracle.counts.lost += 1;
            return;
        }
        if !self.is_calm && self.chance.percent(3) {
            self.oracle.counts.doubled += 1;
            let late = self.chance.between(1, 400);
            self.post(to, late, event.clone());
        }
        let delay = self.delay();
        self.post(to, delay, event);
    }

    fn delay(&mut self) -> i64 {
        let is_slow = !self.is_calm && self.chance.percent(5);
        self.chance.between(1, if is_slow { 200 } else { 8 })
    }

    fn tell_metadata(&mut self) {
        if self.told_version == self.controller.view.version {
            return;
        }
        self.told_version = self.controller.view.version;
        let view = Rc::new(self.controller.view.clone());
        self.say(|| format!("metadata {view:?}"));
        for index in 0..self.nodes.len() {
            let delay = self.delay();
            self.post(index, delay, Event::Metadata(Rc::clone(&view)));
        }
    }

    fn step(&mut self, index: usize, life: u64, event: Event) {
        self.oracle.counts.steps += 1;
        let mut hasher = DefaultHasher::new();
        (self.trace, self.now, index, self.nodes[index].disk.log.len()).hash(&mut hasher);
        self.trace = hasher.finish();
        if let Event::Start = event {
            if self.nodes[index].live.is_none() && life == self.nodes[index].life {
                self.start(index);
            }
            return;
        }
        // Requests reach whoever lives there now; all else belongs to a life.
        let is_for_any = matches!(event, Event::Fetch { .. });
        if self.nodes[index].live.is_none() || life != self.nodes[index].life && !is_for_any {
            return;
        }
        match event {
            Event::Metadata(view) => {
                // Who is cut off hears of it when it comes back, by what is told then.
                if self.nodes[index].is_cut_off {
                    self.post(index, 50, Event::Metadata(view));
                } else if view.version >= self.nodes[index].view.version {
                    self.on_metadata(index, view);
                }
            }
            Event::Fetch { from, epoch, asked } => self.on_fetch(index, from, epoch, asked),
            Event::Fetched { asked, body } => self.on_fetched(index, asked, body),
            Event::Answer { number, answer } => {
                let effects = self.live(index).partition.on_alter_answer(number, &answer);
                self.perform(index, effects);
            }
            Event::Flushed { upto, generation } => {
                self.nodes[index].disk.on_flushed(upto, generation);
                let flushed = self.nodes[index].disk.flushed;
                let flushed = Offset(i64::try_from(flushed).unwrap());
                let effects = self.live(index).partition.on_flushed(flushed);
                self.perform(index, effects);
            }
            Event::Tick => self.on_tick(index),
            Event::Start => {}
        }
    }

    fn live(&mut self, index: usize) -> &mut Live {
        self.nodes[index].live.as_mut().unwrap()
    }

    fn on_metadata(&mut self, index: usize, view: Rc<View>) {
        let now = self.now;
        let effects = self.live(index).partition.on_metadata(&view.metadata(), now);
        self.nodes[index].view = Rc::clone(&view);
        if effects.new_role.is_some() {
            self.live(index).asked_at = None;
        }
        self.perform(index, effects);
        let effects = self.live(index).partition.on_tick(&*view, now);
        self.perform(index, effects);
    }

    fn on_tick(&mut self, index: usize) {
        self.post(index, TICK_MS, Event::Tick);
        let (now, view) = (self.now, Rc::clone(&self.nodes[index].view));
        let live = self.live(index);
        live.ticks += 1;
        if live.ticks.is_multiple_of(8) {
            let effects = live.partition.on_tick(&*view, now);
            self.perform(index, effects);
        }
        if self.chance.percent(5) {
            let high_watermark = self.live(index).partition.high_watermark();
            self.nodes[index].disk.high_watermark = high_watermark;
        }
        if self.produces && self.chance.percent(40) {
            self.produce(index);
        }
        self.fetch(index);
    }

    fn produce(&mut self, index: usize) {
        let live = self.nodes[index].live.as_mut().unwrap();
        match live.partition.check_append(Acks::All) {
            Ok(()) => {}
            Err(Refused::NotEnoughReplicas) => {
                self.oracle.counts.refused_before += 1;
                return;
            }
            Err(_) => return,
        }
        self.values += 1;
        self.oracle.counts.appended += 1;
        let record = Record { epoch: live.partition.leader_epoch(), value: self.values };
        self.nodes[index].disk.append(record);
        let end = self.nodes[index].disk.end();
        let live = self.live(index);
        live.waits.push((end, record.value));
        let effects = live.partition.on_append(end);
        self.perform(index, effects);
        self.flush(index);
    }

    fn flush(&mut self, index: usize) {
        let disk = &self.nodes[index].disk;
        let flushed = Event::Flushed { upto: disk.log.len(), generation: disk.generation };
        let is_slow = !self.is_calm && self.chance.percent(5);
        let delay = self.chance.between(1, if is_slow { 250 } else { 10 });
        self.post(index, delay, flushed);
    }

    fn fetch(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let live = node.live.as_mut().unwrap();
        if live.asked_at.is_some_and(|asked_ms| now < asked_ms + FETCH_TIMEOUT_MS) {
            return;
        }
        let is_clean = self.durability == Durability::PageCache || !node.disk.is_cut;
        let asked = live.partition.fetch_position(node.disk.epochs.latest());
        let Some(asked) = asked.filter(|_| is_clean) else { return };
        live.asked_at = Some(now);
        let epoch = live.epoch;
        let to = self.index_of(asked.leader);
        self.send(index, to, Event::Fetch { from: index, epoch, asked });
    }

    /// The leader's side of a fetch.
    fn on_fetch(&mut self, index: usize, from: usize, epoch: BrokerEpoch, asked: FetchPosition) {
        let (now, view) = (self.now, Rc::clone(&self.nodes[index].view));
        let replica = self.nodes[from].id;
        let node = &mut self.nodes[index];
        let partition = &mut node.live.as_mut().unwrap().partition;
        if partition.check_replica(asked.leader_epoch, replica, epoch, &*view).is_err() {
            return;
        }
        if asked.last_fetched_epoch != LeaderEpoch::UNKNOWN {
            let end = node.disk.end();
            let Some((known, known_end)) =
                node.disk.epochs.end_offset_for(asked.last_fetched_epoch, end)
            else {
                return;
            };
            if known < asked.last_fetched_epoch || known_end < asked.offset {
                let body = Body::Diverging(known, known_end);
                return self.send(index, from, Event::Fetched { asked, body });
            }
        }
        if asked.offset > node.disk.end() {
            return;
        }
        let fetch = ReplicaFetch {
            replica,
            broker_epoch: epoch,
            offset: asked.offset,
            log_start: Some(Offset::ZERO),
        };
        let effects = partition.on_replica_fetch(fetch, &*view, now);
        let records: Vec<Record> =
            node.disk.log[at(asked.offset)..].iter().take(5).copied().collect();
        let high_watermark = partition.high_watermark();
        self.perform(index, effects);
        let body = Body::Records { records, high_watermark };
        self.send(index, from, Event::Fetched { asked, body });
    }

    /// The follower's side.
    fn on_fetched(&mut self, index: usize, asked: FetchPosition, body: Body) {
        let node = &mut self.nodes[index];
        let live = node.live.as_mut().unwrap();
        live.asked_at = None;
        let (disk, partition) = (&mut node.disk, &mut live.partition);
        let diverging = match &body {
            Body::Diverging(epoch, end) => Some((*epoch, *end)),
            Body::Records { .. } => None,
        };
        let step = partition.on_fetched(&asked, disk.epochs.latest(), diverging, |epoch| {
            disk.epochs.end_offset_for(epoch, disk.end())
        });
        match (step.expect("nobody lost what was committed"), body) {
            (NextStep::Stale, _) => self.oracle.counts.stale += 1,
            (NextStep::Truncate(to), _) => {
                self.oracle.counts.truncations += 1;
                disk.truncate(to);
                partition.on_truncated(disk.end(), Offset(i64::try_from(disk.flushed).unwrap()));
                self.say(|| format!("{index} cuts its log at {to}"));
                self.flush(index);
            }
            (_, Body::Records { records, high_watermark }) => {
                let is_news = !records.is_empty();
                for record in records {
                    disk.append(record);
                }
                partition.on_append(disk.end());
                let effects = partition.on_leader_high_watermark(high_watermark, Offset::ZERO);
                self.perform(index, effects);
                if is_news {
                    self.flush(index);
                }
            }
            (step, body) => panic!("{step:?} after {body:?}"),
        }
    }

    fn perform(&mut self, index: usize, effects: Effects) {
        let is_newest = self.nodes[index].view.leader_epoch == self.controller.view.leader_epoch;
        let node = &mut self.nodes[index];
        let live = node.live.as_mut().unwrap();
        if let Some(NewRole::Leader(epoch)) = effects.new_role {
            let end = node.disk.end();
            node.disk.epochs.assign(epoch, end);
            if is_newest {
                self.oracle.on_leader(&node.disk.log, epoch);
            }
        }
        if let Some(high_watermark) = effects.high_watermark {
            if live.partition.is_leader() {
                self.oracle.on_leader_high_watermark(&node.disk.log, high_watermark);
            } else {
                self.oracle.on_follower_high_watermark(&node.disk.log, high_watermark);
            }
        }
        let (partition, oracle) = (&live.partition, &mut self.oracle);
        live.waits.retain(|(end, value)| {
            let is_done = partition.is_leader() && partition.is_acknowledged(*end, Acks::All);
            if is_done {
                oracle.on_acknowledged(end.plus(-1), *value);
            }
            !is_done
        });
        if effects.waits_refused.is_some() {
            self.oracle.counts.refused_after += live.waits.len() as u64;
            live.waits.clear();
        }
        if effects.has_proposal
            && let Some(proposal) = live.partition.take_proposal(live.epoch)
        {
            self.propose(index, &proposal);
        }
    }

    /// To the controller and back, either of which may be lost.
    fn propose(&mut self, index: usize, proposal: &Proposal) {
        let counts = &mut self.oracle.counts;
        let isr = self.controller.view.isr.len();
        let number = proposal.number;
        let lost = AlterAnswer::Refused(AlterRefused::Unknown);
        let is_cut_off = self.nodes[index].is_cut_off;
        let answer = if is_cut_off || !self.is_calm && self.chance.percent(5) {
            lost.clone()
        } else {
            let answer = self.controller.alter(self.nodes[index].id, proposal);
            match &answer {
                AlterAnswer::Altered { isr: now, .. } if now.len() < isr => counts.shrunk += 1,
                AlterAnswer::Altered { .. } => counts.expanded += 1,
                AlterAnswer::Refused(AlterRefused::NotDone) => counts.not_done += 1,
                AlterAnswer::Refused(AlterRefused::Superseded) => counts.superseded += 1,
                AlterAnswer::Refused(AlterRefused::Unknown) => {}
            }
            if !self.is_calm && self.chance.percent(5) { lost.clone() } else { answer }
        };
        if answer == lost {
            self.oracle.counts.unknown += 1;
        }
        self.say(|| format!("{index} proposes {proposal:?}: {answer:?}"));
        let delay = self.delay() + if is_cut_off { 30 } else { 0 };
        self.post(index, delay, Event::Answer { number, answer });
    }
}
