//! The loop that owns the quorum: events in, effects carried out, in order.
//!
//! Also the controller's loop: decisions are made, appended and replayed in one go, so that no other
//! leader's record can come between. They are answered when they are committed. Nothing here waits
//! for another node or for the disk.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kalda_client::HostPort;
use kalda_controller::{BrokerSessions, Controller, Decision};
use kalda_metadata::{Changes, MetadataLoader};
use kalda_model::{BrokerId, LeaderEpoch, Offset};
use kalda_protocol::stored::metadata::{AbortTransactionRecord, MetadataRecord, NoOpRecord};
use kalda_raft::quorum::{
    Correlation, Decision as QuorumDecision, Effect, Input, Quorum, QuorumSettings, Request,
    RequestId, Restored, RoleName,
};
use kalda_raft::{CarryOutError, Outcome, SnapshotId, decision_batches};
use tokio::sync::{mpsc, oneshot};

use super::active::{Active, first_records};
use super::addresses::Addresses;
use super::handle::{Answer, Asked, Command, Description, Event, Events, Unavailable};
use super::shared_log::SharedMetadataLog;
use super::wire;
use crate::broker::Broker;
use crate::controlled::Deciding;
use crate::directory::DataDirectory;
use crate::peer::{self, Link};
use crate::tasks::metadata_publisher::Publication;

/// Events that are seen to before the clock is looked at again.
const EVENTS_PER_TURN: usize = 256;

/// What the loop starts with.
pub(crate) struct QuorumParts {
    pub(crate) log: Arc<SharedMetadataLog>,
    pub(crate) directory: Arc<DataDirectory>,
    pub(crate) restored: Restored,
    /// What the newest snapshot says.
    pub(crate) loader: MetadataLoader,
    pub(crate) events: Events,
    pub(crate) publications: mpsc::UnboundedSender<Publication>,
}

/// See the module.
pub(crate) struct QuorumLoop {
    broker: Arc<Broker>,
    log: Arc<SharedMetadataLog>,
    directory: Arc<DataDirectory>,
    quorum: Quorum,
    events: mpsc::UnboundedReceiver<Event>,
    addresses: Addresses,
    links: Rc<RefCell<HashMap<BrokerId, Link>>>,
    /// Requests of other nodes that wait for their answers.
    waiting: BTreeMap<RequestId, oneshot::Sender<Asked>>,
    next_request: u64,
    /// What is committed.
    loader: MetadataLoader,
    committed_end: Offset,
    committed_epoch: LeaderEpoch,
    publications: mpsc::UnboundedSender<Publication>,
    /// This node was elected, and has yet to commit the first record of its epoch.
    elected: Option<(LeaderEpoch, Offset)>,
    active: Option<Active>,
    resigning: Vec<oneshot::Sender<()>>,
    has_failed: bool,
}

impl QuorumLoop {
    /// Runs until the node stops, or its metadata log cannot be trusted any more.
    pub(crate) async fn run(broker: Arc<Broker>, parts: QuorumParts) {
        let QuorumParts { log, directory, restored, loader, events, publications } = parts;
        let settings = settings(&broker);
        let committed_end = restored.log.start_offset();
        let (now_ms, rng) = (broker.clock.monotonic_ms(), Arc::clone(&broker.rng));
        let (quorum, effects) = Quorum::new(restored, settings, now_ms, &*rng);
        let mut this = Self {
            addresses: Addresses::new(broker.config.quorum.clone()),
            log,
            directory,
            quorum,
            events: events.0,
            links: Rc::default(),
            waiting: BTreeMap::new(),
            next_request: 0,
            committed_epoch: loader.image().epoch,
            loader,
            committed_end,
            publications,
            elected: None,
            active: None,
            resigning: Vec::new(),
            has_failed: false,
            broker,
        };
        this.publish(Changes::default());
        this.perform(effects);
        this.serve().await;
    }

    async fn serve(&mut self) {
        let stop = self.broker.stop.clone();
        let stopping = stop.asked();
        let mut stopping = std::pin::pin!(stopping);
        while !self.has_failed {
            self.after_events();
            let wake_in = self.wake_at().saturating_sub(self.now_ms()).max(0);
            let wake_in = Duration::from_millis(u64::try_from(wake_in).unwrap_or(0));
            tokio::select! {
                biased;
                () = &mut stopping => return,
                event = self.events.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => return,
                },
                () = tokio::time::sleep(wake_in) => self.on_time(),
            }
            for _ in 0..EVENTS_PER_TURN {
                let Ok(event) = self.events.try_recv() else { break };
                self.on_event(event);
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.broker.clock.monotonic_ms()
    }

    fn wake_at(&self) -> i64 {
        let active = self.active.as_ref().map_or(i64::MAX, |active| {
            let expiry = active.sessions.next_expiry_ms().unwrap_or(i64::MAX);
            expiry.min(active.balance_at).min(active.noop_at)
        });
        self.quorum.wake_at().min(active).min(self.now_ms() + 3_600_000)
    }

    fn on_time(&mut self) {
        self.tell(Input::Tick);
        self.manage();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Ask { request, answer } => {
                self.next_request += 1;
                let id = RequestId(self.next_request);
                self.waiting.insert(id, answer);
                self.tell(Input::Request { id, request });
            }
            Event::Answered { from, correlation, response, nodes } => {
                for (node, address) in nodes {
                    self.addresses.hear(node, address);
                }
                self.tell(Input::Response { from, correlation, response });
            }
            Event::Failed { to, correlation } => self.tell(Input::SendFailed { to, correlation }),
            Event::Address { node, address } => self.addresses.hear(node, address),
            Event::Flushed(end) => self.tell(Input::Flushed(end)),
            Event::DiskFailed => self.fail(Unavailable::Disk("its directory is offline".into())),
            Event::Decide(command) => self.decide(command),
            Event::Describe(answer) => {
                let _gone = answer.send(self.describe());
            }
            Event::BrokerLost { broker, epoch } => self.on_broker_lost(broker, epoch),
            Event::Resign(answer) => {
                self.resigning.push(answer);
                if self.quorum.log().voters().len() > 1 {
                    self.tell(Input::Resign);
                }
            }
        }
    }

    /// What follows from all that has happened.
    fn after_events(&mut self) {
        self.advance();
        let is_leading = self.quorum.role() == RoleName::Leader;
        if !is_leading || self.quorum.log().voters().len() < 2 {
            for waiting in self.resigning.drain(..) {
                let _gone = waiting.send(());
            }
        }
        self.broker.active_controller.set(self.active_controller());
    }

    fn active_controller(&self) -> peer::Active {
        let epoch = self.quorum.epoch();
        match self.quorum.role() {
            RoleName::Leader if self.active.is_some() => peer::Active::Here(epoch),
            RoleName::Follower => {
                let address = self.quorum.leader().and_then(|leader| self.address(leader));
                address.map_or(peer::Active::Unknown, |address| peer::Active::At(epoch, address))
            }
            _ => peer::Active::Unknown,
        }
    }

    fn address(&self, node: BrokerId) -> Option<HostPort> {
        if node == self.broker.node {
            return self.broker.controller_address();
        }
        self.addresses.of(node, self.quorum.log().voters())
    }

    fn tell(&mut self, input: Input) {
        if self.has_failed {
            return;
        }
        let rng = Arc::clone(&self.broker.rng);
        let effects = self.quorum.handle(input, self.now_ms(), &*rng);
        self.perform(effects);
    }

    fn perform(&mut self, mut effects: Vec<Effect>) {
        while !effects.is_empty() && !self.has_failed {
            let wall_ms = self.broker.clock.wall_ms();
            let done = self.log.log.lock().carry_out(std::mem::take(&mut effects), wall_ms);
            let outcomes = match done {
                Ok(outcomes) => outcomes,
                Err(error) => return self.fail_on(error),
            };
            for outcome in outcomes {
                if let Outcome::Report(input) = outcome {
                    self.on_report(&input);
                    let rng = Arc::clone(&self.broker.rng);
                    effects.extend(self.quorum.handle(input, self.now_ms(), &*rng));
                } else {
                    self.act(outcome);
                }
            }
        }
    }

    fn act(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Send { to, correlation, request } => self.send(to, correlation, request),
            Outcome::Answer { request, response, records } => {
                let Some(answer) = self.waiting.remove(&request) else { return };
                let leader_address = response.leader.and_then(|leader| self.address(leader));
                let log_start = self.quorum.log().start_offset();
                let _gone = answer.send(Asked { response, records, leader_address, log_start });
            }
            Outcome::Appended => self.directory.flusher.mark_dirty(Arc::clone(&self.log) as _),
            Outcome::BecameLeader { epoch, epoch_start } => {
                self.elected = Some((epoch, epoch_start));
            }
            Outcome::Resigned { epoch } => {
                self.elected = None;
                if let Some(active) = self.active.take() {
                    tracing::info!("this node is no longer the active controller (epoch {epoch})");
                    active.fail(&Unavailable::NotActive);
                }
            }
            Outcome::Following { leader, epoch } => {
                tracing::info!("following controller {leader} in epoch {epoch}");
            }
            Outcome::Fault(fault) => {
                self.fail(Unavailable::Disk(fault.to_string()));
            }
            // The quorum itself knows it, and `advance` asks.
            Outcome::HighWatermark(_) | Outcome::Report(_) => {}
        }
    }

    /// A fetched snapshot took the place of the log: what it says is committed.
    fn on_report(&mut self, input: &Input) {
        let Input::SnapshotInstalled(view) = input else { return };
        let read = self.log.log.lock().newest_snapshot_records();
        let (id, records) = match read {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => return,
            Err(error) => return self.fail(Unavailable::Disk(error.to_string())),
        };
        let before = self.loader.image().clone();
        let mut loader = MetadataLoader::default();
        if let Err(error) = loader.replay(&records, id.end_offset, id.epoch) {
            return self.fail(Unavailable::Disk(format!("snapshot {id}: {error}")));
        }
        tracing::info!("took over metadata snapshot {id}");
        let changes = Changes::between(&before, loader.image());
        self.loader = loader;
        self.committed_end = view.start_offset();
        self.committed_epoch = id.epoch;
        self.publish(changes);
    }

    /// Sends a request from a task of its own; what became of it comes back as an event.
    fn send(&self, to: BrokerId, correlation: Correlation, request: Request) {
        let handle = self.broker.quorum.clone();
        let Some(address) = self.address(to) else {
            return handle.send(Event::Failed { to, correlation });
        };
        let (broker, links) = (Arc::clone(&self.broker), Rc::clone(&self.links));
        tokio::task::spawn_local(async move {
            let known = links.borrow().get(&to).cloned();
            let usable =
                known.filter(|link| link.is_open() && link.leads_to(&address.host, address.port));
            let link = match usable {
                Some(link) => Ok(link),
                None => {
                    let timeout_ms = broker.config.number("controller.quorum.request.timeout.ms");
                    Link::open_for(&broker, &address.host, address.port, timeout_ms).await
                }
            };
            let asked = match link {
                Ok(link) => {
                    links.borrow_mut().insert(to, link.clone());
                    wire::ask(&broker, &link, to, &request).await
                }
                Err(error) => Err(error),
            };
            handle.send(match asked {
                Ok((response, nodes)) => Event::Answered { from: to, correlation, response, nodes },
                Err(error) => {
                    tracing::debug!(%error, "controller {to} at {address} did not answer");
                    Event::Failed { to, correlation }
                }
            });
        });
    }

    /// Takes over what is committed by now, and begins to lead when its own first record is.
    fn advance(&mut self) {
        let to = self.quorum.high_watermark();
        if let Some(active) = &mut self.active {
            if let Some(committed) = active.commit(to) {
                self.loader = committed.loader;
                self.committed_epoch = active.epoch;
                self.committed_end = committed.end;
                self.publish(committed.changes);
                for (end, answer) in committed.answers {
                    answer(Ok(end));
                }
            }
        } else if self.committed_end < to {
            self.replay_to(to);
        }
        self.snapshot_if_due();
        if let Some((epoch, _)) = self.elected.take_if(|(_, start)| *start < to) {
            self.activate(epoch);
        }
    }

    fn replay_to(&mut self, to: Offset) {
        let mut changes = Changes::default();
        while self.committed_end < to {
            let read = self.log.log.lock().read_committed(self.committed_end, to);
            let batches = match read {
                Ok(batches) if batches.is_empty() => break,
                Ok(batches) => batches,
                Err(error) => return self.fail(Unavailable::Disk(error.to_string())),
            };
            for batch in batches {
                self.committed_end = batch.end_offset;
                self.committed_epoch = batch.epoch;
                match self.loader.replay(&batch.records, batch.end_offset, batch.epoch) {
                    Ok(news) => changes.extend(news.unwrap_or_default()),
                    Err(error) => {
                        let text = format!("the metadata at offset {}: {error}", batch.end_offset);
                        return self.fail(Unavailable::Disk(text));
                    }
                }
            }
        }
        self.publish(changes);
    }

    fn publish(&self, changes: Changes) {
        let image = self.loader.image().clone();
        // A publisher that is gone means that the node ends.
        let end = self.committed_end;
        let _ended = self.publications.send(Publication::Image { image, changes, end });
    }

    fn snapshot_if_due(&mut self) {
        let mut log = self.log.log.lock();
        if !log.is_snapshot_due() || self.loader.is_in_transaction() {
            return;
        }
        let id = SnapshotId { end_offset: self.committed_end, epoch: self.committed_epoch };
        let view = self.quorum.log();
        let voters = (view.kraft_version() > 0)
            .then(|| (view.voters_at(id.end_offset).clone(), view.kraft_version()));
        let records = self.loader.image().to_records();
        let written = log.write_snapshot(id, records, voters, self.broker.clock.wall_ms());
        drop(log);
        match written {
            Ok(()) => {
                tracing::info!("wrote metadata snapshot {id}");
                self.tell(Input::SnapshotTaken(id));
            }
            Err(error) => self.directory.fail(&error),
        }
    }

    /// From here on this node decides.
    fn activate(&mut self, epoch: LeaderEpoch) {
        let session_ms = self.broker.config.number("broker.session.timeout.ms");
        let mut sessions = BrokerSessions::new(session_ms);
        sessions.on_became_active(self.loader.image(), self.now_ms());
        let mut active = Active::new(epoch, self.loader.clone(), sessions);
        active.balance_at = self.next_balance();
        active.noop_at = self.next_noop(&active);
        let is_in_transaction = active.loader.is_in_transaction();
        self.active = Some(active);
        tracing::info!("this node is the active controller (epoch {epoch})");
        if is_in_transaction {
            // Nobody is left to end it, and what comes next must not become a part of it.
            let reason = Some("its leader ended before it did".to_owned());
            let abort = AbortTransactionRecord { reason };
            self.append(vec![MetadataRecord::AbortTransaction(abort)], None);
        }
        let is_new = self.active.as_ref().is_some_and(|it| it.image().features.is_empty());
        if is_new {
            let records = first_records(&self.broker, &self.directory);
            self.append(records, None);
        }
    }

    fn decide(&mut self, command: Command) {
        let (end, now_ms) = (self.quorum.log().end_offset(), self.now_ms());
        let Some(active) = &mut self.active else {
            (command.decide)(None);
            return;
        };
        let decided = (command.decide)(Some(&mut Deciding {
            controller: Controller {
                image: active.loader.image(),
                rng: &*self.broker.rng,
                node: self.broker.node,
                static_config: &self.broker.config.values,
            },
            sessions: &mut active.sessions,
            cluster_id: &self.broker.cluster_id,
            next_offset: end,
            now_ms,
        }));
        let Some((records, answer)) = decided else { return };
        if !records.is_empty() {
            return self.append(records, Some(answer));
        }
        // What it says may rest on what is not committed yet.
        if let Some(answer) = active.await_newest(answer) {
            answer(Ok(self.committed_end));
        }
    }

    /// Makes a decision of the controller's own.
    fn decide_alone(
        &mut self,
        decide: impl FnOnce(&Controller<'_>, &mut BrokerSessions, i64) -> Decision<()>,
    ) {
        let now_ms = self.now_ms();
        let Some(active) = &mut self.active else { return };
        let controller = Controller {
            image: active.loader.image(),
            rng: &*self.broker.rng,
            node: self.broker.node,
            static_config: &self.broker.config.values,
        };
        let records = decide(&controller, &mut active.sessions, now_ms).records;
        if !records.is_empty() {
            self.append(records, None);
        }
    }

    /// Appends and replays; nobody hears of it before it is committed.
    fn append(&mut self, records: Vec<MetadataRecord>, answer: Option<Answer>) {
        let refuse = |answer: Option<Answer>, why: Unavailable| {
            if let Some(answer) = answer {
                answer(Err(why));
            }
        };
        let (rng, wall_ms) = (Arc::clone(&self.broker.rng), self.broker.clock.wall_ms());
        let Some(active) = &mut self.active else { return refuse(answer, Unavailable::NotActive) };
        let (epoch, expected_end) = (active.epoch, self.quorum.log().end_offset());
        let batches = match decision_batches(&records, expected_end, epoch, wall_ms) {
            Ok(batches) => batches,
            Err(error) => return refuse(answer, Unavailable::Disk(error.to_string())),
        };
        let decision = QuorumDecision { epoch, expected_end, batches };
        let now_ms = self.broker.clock.monotonic_ms();
        let (end, effects) = match self.quorum.append(decision, now_ms, &*rng) {
            Ok(appended) => appended,
            Err(error) => {
                tracing::debug!(%error, "a decision was not appended");
                return refuse(answer, Unavailable::NotActive);
            }
        };
        let replayed = active.loader.replay(&records, end, epoch);
        let changes = replayed.expect("the controller decides only what its own image allows");
        active.push(end, changes.unwrap_or_default(), answer);
        active.noop_at = i64::MAX;
        let noop_at = self.active.as_ref().map(|active| self.next_noop(active));
        if let (Some(active), Some(at)) = (&mut self.active, noop_at) {
            active.noop_at = at;
        }
        self.perform(effects);
    }

    /// The controller's own duties, those that are due.
    fn manage(&mut self) {
        let now_ms = self.now_ms();
        let due = |at: Option<i64>| at.is_some_and(|at| at <= now_ms);
        let active = self.active.as_ref();
        let expiry = active.and_then(|active| active.sessions.next_expiry_ms());
        let balance = active.map(|active| active.balance_at);
        let noop = active.map(|active| active.noop_at);
        if due(expiry) {
            self.decide_alone(|controller, sessions, now_ms| {
                controller.fence_silent_brokers(sessions, now_ms)
            });
            self.decide_alone(|controller, _, _| controller.elect_unclean_where_allowed());
        }
        if due(balance) {
            let next = self.next_balance();
            if let Some(active) = &mut self.active {
                active.balance_at = next;
            }
            self.decide_alone(|controller, _, _| controller.balance_leaders());
        }
        if due(noop) {
            self.append(vec![MetadataRecord::NoOp(NoOpRecord::default())], None);
        }
    }

    fn next_balance(&self) -> i64 {
        if !self.broker.config.flag("auto.leader.rebalance.enable") {
            return i64::MAX;
        }
        let seconds = self.broker.config.number("leader.imbalance.check.interval.seconds");
        self.now_ms().saturating_add(seconds.saturating_mul(1000))
    }

    /// `metadata.max.idle.interval.ms`. A node alone has nobody to show it to.
    fn next_noop(&self, active: &Active) -> i64 {
        let interval_ms = self.broker.config.number("metadata.max.idle.interval.ms");
        let others = active.image().brokers.keys().any(|id| *id != self.broker.node);
        let is_alone = !others && self.quorum.log().voters().len() < 2;
        if interval_ms == 0 || is_alone { i64::MAX } else { self.now_ms() + interval_ms }
    }

    fn on_broker_lost(&mut self, id: BrokerId, epoch: kalda_model::BrokerEpoch) {
        let Some(active) = &self.active else { return };
        let known = active.image().brokers.get(&id);
        if known.is_some_and(|broker| broker.epoch == epoch && !broker.fenced) {
            tracing::warn!(
                "broker {id} cannot be reached any more; its partitions get other leaders"
            );
            self.decide_alone(|controller, sessions, _| controller.fence_broker(sessions, id));
            self.decide_alone(|controller, _, _| controller.elect_unclean_where_allowed());
        }
    }

    fn describe(&self) -> Description {
        let voters = self.quorum.log().voters().clone();
        let addresses = voters.iter().map(|voter| voter.key.id);
        let addresses = addresses.filter_map(|id| Some((id, self.address(id)?))).collect();
        Description {
            leader: self.quorum.leader(),
            is_leader: self.quorum.role() == RoleName::Leader,
            epoch: self.quorum.epoch(),
            high_watermark: self.quorum.high_watermark(),
            replicas: self.quorum.describe(),
            voters,
            now_ms: self.now_ms(),
            addresses,
        }
    }

    /// The log failed. Its directory says so to the operator, better.
    fn fail_on(&mut self, error: CarryOutError) {
        let text = error.to_string();
        match error.into_storage() {
            Ok(error) => self.directory.fail(&error),
            Err(text) => tracing::error!("the metadata log cannot be used: {text}"),
        }
        self.fail(Unavailable::Disk(text));
    }

    /// The node cannot go on: it may have promised what it does not have.
    fn fail(&mut self, why: Unavailable) {
        self.has_failed = true;
        if let Some(active) = self.active.take() {
            active.fail(&why);
        }
        self.broker.stop.ask(Some(why.to_string()));
    }
}

fn settings(broker: &Broker) -> QuorumSettings {
    let number = |name: &str| broker.config.number(name);
    QuorumSettings {
        election_timeout_ms: number("controller.quorum.election.timeout.ms"),
        fetch_timeout_ms: number("controller.quorum.fetch.timeout.ms"),
        election_backoff_max_ms: number("controller.quorum.election.backoff.max.ms"),
        request_timeout_ms: number("controller.quorum.request.timeout.ms"),
        retry_backoff_ms: number("controller.quorum.retry.backoff.ms"),
        bootstrap: Addresses::bootstrap_ids(&broker.config.quorum),
        ..QuorumSettings::default()
    }
}
