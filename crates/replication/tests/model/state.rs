//! A partition on three real replicas, their disks, its controller and what is on its way between
//! them, as one value.
//!
//! Time stands still until the model lets whoever is behind be late. Nothing is lost on the way; it
//! may stay there until its sender asks again.

use std::sync::Arc;

use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use kalda_replication::{
    Acks, AlterAnswer, AlterRefused, Durability, Effects, FetchPosition, NewRole, NextStep,
    Partition, Proposal, ReplicaFetch, Settings,
};
use kalda_storage::EpochCache;

use crate::controller::{Controller, View, at};
use crate::{Bounds, Pace};

pub(crate) const NODES: usize = 3;
const LAG_MS_MAX: i64 = 10;

/// What must never be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Broken {
    LeaderLacks,
    CommittedChanged,
    IsrLacks,
    CommittedAtRisk,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Record {
    epoch: LeaderEpoch,
    value: u8,
}

/// What a leader answers a replica.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Body {
    Diverging(LeaderEpoch, Offset),
    Records { records: Vec<Record>, high_watermark: Offset },
}

/// A fetch of one replica.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Fetching {
    Asked(BrokerEpoch, FetchPosition),
    Answered(FetchPosition, Body),
}

/// A change of the ISR that a leader proposed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Proposing {
    Sent(Proposal),
    Answered(u64, AlterAnswer),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Node {
    partition: Partition,
    broker_epoch: BrokerEpoch,
    log: Vec<Record>,
    /// So many of the records survive a power cut.
    flushed: usize,
    epochs: EpochCache,
    /// The metadata as it knows them.
    view: Arc<View>,
    fetching: Option<Fetching>,
    proposing: Option<Proposing>,
}

impl Node {
    fn end(&self) -> Offset {
        offset(self.log.len())
    }

    fn append(&mut self, record: Record) {
        self.epochs.assign(record.epoch, self.end());
        self.log.push(record);
    }

    /// What a start finds is made durable before it is used.
    fn recover(&mut self) {
        self.log.truncate(self.flushed);
        self.epochs = EpochCache::default();
        for (index, record) in self.log.iter().enumerate() {
            self.epochs.assign(record.epoch, offset(index));
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    nodes: [Arc<Node>; NODES],
    controller: Controller,
    /// What the controller says; the nodes hear of it one after the other.
    told: Arc<View>,
    now: i64,
    committed: Vec<Record>,
    /// Committed by a leader that was elected after the beginning.
    pub(crate) committed_later: bool,
    /// What may still happen.
    pub(crate) left: Bounds,
    pub(crate) broken: Option<Broken>,
}

impl State {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let all: Vec<BrokerId> = (0..NODES).map(id).collect();
        let controller = Controller::new(&all, &all, 2);
        let told = Arc::new(controller.view.clone());
        let node = |index: usize| {
            Arc::new(Node {
                partition: Partition::new(id(index), settings(), Offset::ZERO, Offset::ZERO),
                broker_epoch: told.brokers[&id(index)].epoch,
                log: Vec::new(),
                flushed: 0,
                epochs: EpochCache::default(),
                view: Arc::clone(&told),
                fetching: None,
                proposing: None,
            })
        };
        let mut state = Self {
            nodes: std::array::from_fn(node),
            controller,
            told: Arc::clone(&told),
            now: 0,
            committed: Vec::new(),
            committed_later: false,
            left: bounds,
            broken: None,
        };
        for index in 0..NODES {
            state.hear_metadata(index);
        }
        state
    }

    pub(crate) fn has_news(&self, index: usize) -> bool {
        self.nodes[index].view.version < self.told.version
    }

    pub(crate) fn may_write(&self, index: usize) -> bool {
        self.nodes[index].partition.check_append(Acks::All).is_ok()
    }

    pub(crate) fn has_unflushed(&self, index: usize) -> bool {
        self.nodes[index].flushed < self.nodes[index].log.len()
    }

    /// Whether there is something to ask that is not being asked already.
    pub(crate) fn may_ask(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let position = node.partition.fetch_position(node.epochs.latest());
        let has_answer = matches!(node.fetching, Some(Fetching::Answered(..)));
        position.is_some_and(|position| match &node.fetching {
            Some(Fetching::Asked(_, asked)) => *asked != position,
            _ => !has_answer,
        })
    }

    pub(crate) fn is_asked(&self, index: usize) -> bool {
        matches!(self.nodes[index].fetching, Some(Fetching::Asked(..)))
    }

    pub(crate) fn is_answered(&self, index: usize) -> bool {
        matches!(self.nodes[index].fetching, Some(Fetching::Answered(..)))
    }

    pub(crate) fn is_proposing(&self, index: usize) -> bool {
        self.nodes[index].proposing.is_some()
    }

    pub(crate) fn leads(&self, index: usize) -> bool {
        self.nodes[index].partition.is_leader()
    }

    pub(crate) fn is_sent(&self, index: usize) -> bool {
        matches!(self.nodes[index].proposing, Some(Proposing::Sent(_)))
    }

    pub(crate) fn is_fenced(&self, index: usize) -> bool {
        self.controller.view.brokers[&id(index)].is_fenced
    }

    pub(crate) fn hear_metadata(&mut self, index: usize) {
        let (view, now) = (Arc::clone(&self.told), self.now);
        let node = Arc::make_mut(&mut self.nodes[index]);
        let effects = node.partition.on_metadata(&view.metadata(), now);
        node.view = Arc::clone(&view);
        self.perform(index, effects);
        let effects = Arc::make_mut(&mut self.nodes[index]).partition.on_tick(&*view, now);
        self.perform(index, effects);
    }

    pub(crate) fn write(&mut self, index: usize) {
        self.left.writes -= 1;
        let value = self.left.writes;
        let node = Arc::make_mut(&mut self.nodes[index]);
        node.append(Record { epoch: node.partition.leader_epoch(), value });
        let effects = node.partition.on_append(node.end());
        self.perform(index, effects);
    }

    pub(crate) fn flush(&mut self, index: usize) {
        let node = Arc::make_mut(&mut self.nodes[index]);
        node.flushed = node.log.len();
        let effects = node.partition.on_flushed(node.end());
        self.perform(index, effects);
    }

    pub(crate) fn ask(&mut self, index: usize) {
        let node = Arc::make_mut(&mut self.nodes[index]);
        let position = node.partition.fetch_position(node.epochs.latest());
        node.fetching = position.map(|asked| Fetching::Asked(node.broker_epoch, asked));
        let is_quick = index + 1 == NODES && self.left.last == Pace::AtOnce;
        if is_quick || self.left.questions == Pace::AtOnce {
            self.serve(index);
        }
        if is_quick {
            self.take(index);
            self.flush(index);
        }
    }

    /// The leader's side of a fetch.
    pub(crate) fn serve(&mut self, asker: usize) {
        let Some(Fetching::Asked(broker_epoch, asked)) =
            Arc::make_mut(&mut self.nodes[asker]).fetching.take()
        else {
            return;
        };
        let index = index_of(asked.leader);
        let now = self.now;
        let node = Arc::make_mut(&mut self.nodes[index]);
        let view = Arc::clone(&node.view);
        let known =
            node.partition.check_replica(asked.leader_epoch, id(asker), broker_epoch, &*view);
        if known.is_err() || asked.offset > node.end() {
            return;
        }
        if asked.last_fetched_epoch != LeaderEpoch::UNKNOWN {
            let end = node.epochs.end_offset_for(asked.last_fetched_epoch, node.end());
            let Some((known, known_end)) = end else { return };
            if known < asked.last_fetched_epoch || known_end < asked.offset {
                let body = Body::Diverging(known, known_end);
                let answer = Fetching::Answered(asked, body);
                Arc::make_mut(&mut self.nodes[asker]).fetching = Some(answer);
                return;
            }
        }
        let fetch = ReplicaFetch {
            replica: id(asker),
            broker_epoch,
            offset: asked.offset,
            log_start: Some(Offset::ZERO),
        };
        let effects = node.partition.on_replica_fetch(fetch, &*view, now);
        let records = node.log[at(asked.offset)..].to_vec();
        let body = Body::Records { records, high_watermark: node.partition.high_watermark() };
        self.perform(index, effects);
        Arc::make_mut(&mut self.nodes[asker]).fetching = Some(Fetching::Answered(asked, body));
    }

    /// The follower's side.
    pub(crate) fn take(&mut self, index: usize) {
        let node = Arc::make_mut(&mut self.nodes[index]);
        let Some(Fetching::Answered(asked, body)) = node.fetching.take() else { return };
        let diverging = match &body {
            Body::Diverging(epoch, end) => Some((*epoch, *end)),
            Body::Records { .. } => None,
        };
        let (epochs, end) = (&node.epochs, node.end());
        let step = node.partition.on_fetched(&asked, epochs.latest(), diverging, |epoch| {
            epochs.end_offset_for(epoch, end)
        });
        match (step, body) {
            (Ok(NextStep::Truncate(to)), _) => {
                node.log.truncate(at(to));
                node.epochs.truncate_from_end(to);
                node.flushed = node.flushed.min(node.log.len());
                node.partition.on_truncated(node.end(), offset(node.flushed));
            }
            (Ok(NextStep::Append), Body::Records { records, high_watermark }) => {
                records.into_iter().for_each(|record| node.append(record));
                node.partition.on_append(node.end());
                let effects = node.partition.on_leader_high_watermark(high_watermark, Offset::ZERO);
                self.perform(index, effects);
            }
            (Ok(_), _) => {}
            (Err(_), _) => self.demand(false, Broken::CommittedAtRisk),
        }
    }

    /// A proposal reaches the controller, or its answer the leader. An answer that is lost is one
    /// more outcome that is not known.
    pub(crate) fn go_on_proposing(&mut self, index: usize, is_lost: bool) {
        self.left.faults -= u8::from(is_lost);
        let node = Arc::make_mut(&mut self.nodes[index]);
        match node.proposing.take() {
            Some(Proposing::Sent(proposal)) => {
                let number = proposal.number;
                let answer = self.controller.alter(id(index), &proposal);
                let answer =
                    if is_lost { AlterAnswer::Refused(AlterRefused::Unknown) } else { answer };
                node.proposing = Some(Proposing::Answered(number, answer));
                self.tell();
            }
            Some(Proposing::Answered(number, answer)) => {
                let effects = node.partition.on_alter_answer(number, &answer);
                self.perform(index, effects);
            }
            None => {}
        }
    }

    /// Whoever is behind has been for too long.
    pub(crate) fn be_late(&mut self, index: usize) {
        self.left.faults -= 1;
        self.now += LAG_MS_MAX + 1;
        let now = self.now;
        let node = Arc::make_mut(&mut self.nodes[index]);
        let view = Arc::clone(&node.view);
        let effects = node.partition.on_tick(&*view, now);
        self.perform(index, effects);
    }

    /// The controller does not hear of it any more.
    pub(crate) fn fence(&mut self, index: usize) {
        self.left.faults -= 1;
        self.controller.fence(id(index));
        self.tell();
    }

    pub(crate) fn unfence(&mut self, index: usize) {
        let epoch = self.nodes[index].broker_epoch;
        self.controller.unfence(id(index), epoch);
        self.tell();
    }

    /// Another replica of the ISR leads.
    pub(crate) fn elect_other(&mut self) {
        self.left.faults -= 1;
        self.controller.elect_other();
        self.tell();
    }

    /// Power is gone, with all that was not flushed, and comes back.
    pub(crate) fn crash(&mut self, index: usize) {
        self.left.faults -= 1;
        let broker_epoch = self.controller.register(id(index), false);
        let view = Arc::new(self.controller.view.clone());
        let node = Arc::make_mut(&mut self.nodes[index]);
        node.recover();
        node.broker_epoch = broker_epoch;
        node.fetching = None;
        node.proposing = None;
        node.partition = Partition::new(id(index), settings(), node.end(), Offset::ZERO);
        self.told = view;
        self.hear_metadata(index);
    }

    fn tell(&mut self) {
        if self.told.version < self.controller.view.version {
            self.told = Arc::new(self.controller.view.clone());
        }
        self.check_isr();
    }

    fn perform(&mut self, index: usize, effects: Effects) {
        let newest_epoch = self.controller.view.leader_epoch;
        let node = Arc::make_mut(&mut self.nodes[index]);
        if let Some(NewRole::Leader(epoch)) = effects.new_role {
            node.epochs.assign(epoch, node.end());
            let has_all = node.log.starts_with(&self.committed);
            // Who was told late commits nothing any more.
            if epoch == newest_epoch {
                self.demand(has_all, Broken::LeaderLacks);
            }
        }
        if effects.new_role.is_some() {
            Arc::make_mut(&mut self.nodes[index]).proposing = None;
        }
        if let Some(high_watermark) = effects.high_watermark {
            self.on_high_watermark(index, at(high_watermark));
        }
        let node = Arc::make_mut(&mut self.nodes[index]);
        if effects.has_proposal
            && let Some(proposal) = node.partition.take_proposal(node.broker_epoch)
        {
            node.proposing = Some(Proposing::Sent(proposal));
        }
    }

    /// What a leader shows is committed, for ever; a follower shows nothing else.
    fn on_high_watermark(&mut self, index: usize, end: usize) {
        let node = Arc::clone(&self.nodes[index]);
        let known = end.min(self.committed.len());
        self.demand(node.log[..known] == self.committed[..known], Broken::CommittedChanged);
        if node.partition.is_leader() {
            self.committed.extend_from_slice(&node.log[known..end]);
            self.committed_later |= end > known && node.partition.leader_epoch().0 > 0;
        } else {
            self.demand(known == end, Broken::CommittedChanged);
        }
        self.check_isr();
    }

    /// Whoever may be elected has all that is committed, on its disk.
    fn check_isr(&mut self) {
        let committed = &self.committed;
        let has_all = |id: &BrokerId| {
            let node = &self.nodes[index_of(*id)];
            node.log[..node.flushed].starts_with(committed)
        };
        let has_all = self.controller.view.isr.iter().all(has_all);
        self.demand(has_all, Broken::IsrLacks);
    }

    fn demand(&mut self, holds: bool, otherwise: Broken) {
        if !holds && self.broken.is_none() {
            self.broken = Some(otherwise);
        }
    }
}

fn settings() -> Settings {
    Settings {
        durability: Durability::Fsync,
        min_insync_replicas: 2,
        unclean_leader_election: false,
        lag_time_max_ms: LAG_MS_MAX,
    }
}

fn id(index: usize) -> BrokerId {
    BrokerId(i32::try_from(index).expect("there are three nodes"))
}

fn index_of(id: BrokerId) -> usize {
    usize::try_from(id.0).expect("ids begin at 0")
}

fn offset(index: usize) -> Offset {
    Offset(i64::try_from(index).expect("logs are short"))
}
