//! The loop that owns the quorum: events in, effects carried out, in order.
//!
//! Also the controller's loop ([`super::duties`]): decisions are made, appended and replayed in one go,
//! so that no other leader's record can come between. They are answered when they are committed.
//! Nothing here waits for another node or for the disk.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kalda_client::HostPort;
use kalda_metadata::{Changes, MetadataLoader};
use kalda_model::{BrokerId, LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_raft::quorum::{
    Correlation, Effect, Input, Quorum, QuorumSettings, Request, RequestId, Restored, RoleName,
    VoterEndpoint,
};
use kalda_raft::{CarryOutError, Outcome};
use kalda_storage::Checkpoint;
use tokio::sync::{mpsc, oneshot};

use super::active::Active;
use super::addresses::Addresses;
use super::duties;
use super::handle::{Asked, Description, Event, Events, Unavailable};
use super::shared_log::SharedMetadataLog;
use super::wire;
use crate::broker::Broker;
use crate::directory::DataDirectory;
use crate::peer::{self, Link};
use crate::tasks::housekeeping::write_checkpoint;
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
    pub(super) broker: Arc<Broker>,
    pub(super) log: Arc<SharedMetadataLog>,
    pub(super) directory: Arc<DataDirectory>,
    pub(super) quorum: Quorum,
    events: mpsc::UnboundedReceiver<Event>,
    addresses: Addresses,
    /// In an order that is the same in each run: they are closed in it.
    links: Rc<RefCell<BTreeMap<BrokerId, Link>>>,
    /// Requests of other nodes that wait for their answers.
    waiting: BTreeMap<RequestId, oneshot::Sender<Asked>>,
    next_request: u64,
    /// What is committed.
    pub(super) loader: MetadataLoader,
    pub(super) committed_end: Offset,
    pub(super) committed_epoch: LeaderEpoch,
    publications: mpsc::UnboundedSender<Publication>,
    /// This node was elected, and has yet to commit the first record of its epoch.
    elected: Option<(LeaderEpoch, Offset)>,
    pub(super) active: Option<Active>,
    resigning: Vec<oneshot::Sender<()>>,
    /// A snapshot is being written.
    pub(super) is_writing_snapshot: bool,
    /// Nodes of other clusters, each complained of once.
    foreign: BTreeSet<HostPort>,
    has_told_of_withheld_votes: bool,
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
            is_writing_snapshot: false,
            foreign: BTreeSet::new(),
            has_told_of_withheld_votes: false,
            has_failed: false,
            broker,
        };
        // What the snapshot says, of which nobody knows yet how old it is.
        let image = this.loader.image().clone();
        let old = Publication::Image { image, changes: Changes::default(), end: Offset::ZERO };
        let _ended = this.publications.send(old);
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

    pub(super) fn now_ms(&self) -> i64 {
        self.broker.clock.monotonic_ms()
    }

    fn wake_at(&self) -> i64 {
        let active = self.active.as_ref().map_or(i64::MAX, |active| {
            let expiry = active.sessions.next_expiry_ms().unwrap_or(i64::MAX);
            let late = active.sessions.next_late_ms().unwrap_or(i64::MAX);
            expiry.min(late).min(active.balance_at).min(active.unclean_at).min(active.noop_at)
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
                if response.leader == Some(self.broker.node) && !self.broker.config.roles.controller
                {
                    // This node cannot be it.
                    self.has_failed = true;
                    self.broker.stop.ask(Some(format!(
                        "a controller is node {} already: give each node its own node.id",
                        self.broker.node
                    )));
                }
                self.tell(Input::Response { from, correlation, response });
            }
            Event::Failed { to, correlation } => {
                self.addresses.on_unreachable(to);
                self.tell(Input::SendFailed { to, correlation });
            }
            Event::Address { node, address } => self.addresses.hear(node, address),
            Event::Flushed(end) => self.tell(Input::Flushed(end)),
            Event::DiskFailed => self.fail(Unavailable::Disk("its directory is offline".into())),
            Event::Decide(command) => self.decide(command),
            Event::Describe(answer) => {
                let _gone = answer.send(self.describe());
            }
            Event::SnapshotWritten(written) => self.on_snapshot_written(written),
            Event::Gone(node) => self.tell(Input::Gone(node)),
            Event::Foreign(address) => self.on_foreign(&address),
            Event::BrokerDisconnected { broker, epoch } => {
                if let Some(active) = &mut self.active {
                    active.sessions.on_connection_lost(broker, epoch);
                    duties::probe(&self.broker, active.image(), broker);
                }
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

    /// A node that never heard of its own cluster is where it does not belong; in one that did, the
    /// other is.
    fn on_foreign(&mut self, address: &HostPort) {
        let text = format!(
            "the controller at {address} is not of cluster {}: check controller.quorum.voters and controller.quorum.bootstrap.servers, and that all nodes were formatted with one cluster id",
            self.broker.cluster_id
        );
        if self.broker.published_end() == Offset::ZERO {
            self.has_failed = true;
            self.broker.stop.ask(Some(text));
        } else if self.foreign.insert(address.clone()) {
            tracing::error!("{text}");
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
        self.broker.set_kraft_version(self.quorum.log().kraft_version());
        self.broker.active_controller.set(self.active_controller());
        if self.quorum.withholds_votes() && !self.has_told_of_withheld_votes {
            self.has_told_of_withheld_votes = true;
            tracing::warn!(
                "the metadata directory of this controller was empty while others are not: it gives no vote before it has followed a leader or heard from all of controller.quorum.voters. Start the others"
            );
        }
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

    pub(super) fn tell(&mut self, input: Input) {
        if self.has_failed {
            return;
        }
        let rng = Arc::clone(&self.broker.rng);
        let effects = self.quorum.handle(input, self.now_ms(), &*rng);
        self.perform(effects);
    }

    pub(super) fn perform(&mut self, mut effects: Vec<Effect>) {
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
            Outcome::Truncated => {
                let noted = write_checkpoint(&self.directory, Checkpoint::RecoveryPoint);
                if let Err(error) = noted {
                    self.directory.fail(&error);
                }
            }
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
            // `perform` gives it to the quorum.
            Outcome::Report(_) => {}
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
        let is_fetch = matches!(request, Request::Fetch(_) | Request::FetchSnapshot(_));
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
                    if error.code() == Some(ErrorCode::InconsistentClusterId) {
                        handle.send(Event::Foreign(address));
                    } else if is_fetch && peer::is_gone(&*broker.net, &address).await {
                        handle.send(Event::Gone(to));
                    }
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

/// What this node tells the quorum of itself, if it is a controller.
fn own_endpoints(broker: &Broker) -> Vec<VoterEndpoint> {
    if !broker.config.roles.controller {
        return Vec::new();
    }
    let endpoints = broker.controller_endpoints().into_iter();
    let endpoint = |(listener, address): (String, HostPort)| VoterEndpoint {
        listener,
        host: address.host,
        port: address.port,
    };
    endpoints.map(endpoint).collect()
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
        endpoints: own_endpoints(broker),
        auto_join: broker.config.flag("controller.quorum.auto.join.enable"),
        ..QuorumSettings::default()
    }
}
