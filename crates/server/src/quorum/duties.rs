//! What the quorum's loop does as the active controller: decide, append, replay, and what is due from
//! time to time.

use std::sync::Arc;

use kalda_client::HostPort;
use kalda_controller::{BrokerSessions, Controller, Decision};
use kalda_metadata::Image;
use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch};
use kalda_protocol::stored::metadata::{AbortTransactionRecord, MetadataRecord, NoOpRecord};
use kalda_raft::decision_batches;
use kalda_raft::quorum::Decision as QuorumDecision;

use super::active::{Active, first_records};
use super::driver::QuorumLoop;
use super::handle::{Answer, Command, Unavailable};
use crate::broker::Broker;
use crate::controlled::Deciding;
use crate::peer;

/// Elections that one decision holds at most; there are more to do if it holds so many.
const ELECTIONS_PER_RUN: usize = 1000;
/// How often partitions without a leader are looked at (`unclean.leader.election.interval.ms`).
const UNCLEAN_EVERY_MS: i64 = 300_000;

impl QuorumLoop {
    /// From here on this node decides.
    pub(super) fn activate(&mut self, epoch: LeaderEpoch) {
        let session_ms = self.broker.config.number("broker.session.timeout.ms");
        let interval_ms = self.broker.config.number("broker.heartbeat.interval.ms");
        let mut sessions = BrokerSessions::new(session_ms).with_heartbeats_every(interval_ms);
        sessions.on_became_active(self.loader.image(), self.now_ms());
        let mut active = Active::new(epoch, self.loader.clone(), sessions);
        active.balance_at = self.next_balance();
        active.unclean_at = self.next_unclean();
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
        // Perhaps the leader before was a broker too, and ended with it.
        if let Some(active) = &self.active {
            let image = active.image();
            image.brokers.keys().for_each(|id| probe(&self.broker, image, *id));
        }
    }

    pub(super) fn decide(&mut self, command: Command) {
        let (end, now_ms) = (self.quorum.log().end_offset(), self.now_ms());
        let Some(active) = &mut self.active else {
            (command.decide)(None);
            return;
        };
        let mut deciding = Deciding {
            controller: self.broker.controller_on(active.loader.image()),
            sessions: &mut active.sessions,
            cluster_id: &self.broker.cluster_id,
            quorum: &self.quorum,
            kraft_version_rises_to: None,
            next_offset: end,
            now_ms,
        };
        let decided = (command.decide)(Some(&mut deciding));
        let rises_to = deciding.kraft_version_rises_to;
        let Some((records, answer)) = decided else { return };
        if !records.is_empty() {
            if let Some(version) = rises_to {
                self.raise_kraft_version(version);
            }
            let has_settings = records.iter().any(|it| matches!(it, MetadataRecord::Config(_)));
            self.append(records, Some(answer));
            if has_settings {
                self.elect_unclean();
            }
            return;
        }
        // What it says may rest on what is not committed yet.
        if let Some(answer) = active.await_newest(answer) {
            answer(Ok(self.committed_end));
        }
    }

    /// The decision asked the quorum beforehand, on the same state.
    fn raise_kraft_version(&mut self, version: i16) {
        let (rng, now_ms) = (Arc::clone(&self.broker.rng), self.now_ms());
        match self.quorum.upgrade(version, now_ms, &*rng) {
            Ok((_, effects)) => {
                tracing::info!("the voters are records from here on: kraft.version {version}");
                self.perform(effects);
            }
            Err(why) => tracing::error!(%why, "kraft.version stays what it is"),
        }
    }

    /// Makes a decision of the controller's own; answers how many records it took.
    fn decide_alone(
        &mut self,
        decide: impl FnOnce(&Controller<'_>, &mut BrokerSessions, i64) -> Decision<()>,
    ) -> usize {
        let now_ms = self.now_ms();
        let Some(active) = &mut self.active else { return 0 };
        let controller = self.broker.controller_on(active.loader.image());
        let records = decide(&controller, &mut active.sessions, now_ms).records;
        let count = records.len();
        if count > 0 {
            self.append(records, None);
        }
        count
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
    pub(super) fn manage(&mut self) {
        let now_ms = self.now_ms();
        let due = |at: Option<i64>| at.is_some_and(|at| at <= now_ms);
        let active = self.active.as_ref();
        let expiry = active.and_then(|active| active.sessions.next_expiry_ms());
        let late = active.and_then(|active| active.sessions.next_late_ms());
        let balance = active.map(|active| active.balance_at);
        let unclean = active.map(|active| active.unclean_at);
        let noop = active.map(|active| active.noop_at);
        if due(late)
            && let Some(active) = &mut self.active
        {
            for id in active.sessions.take_late(now_ms) {
                probe(&self.broker, active.image(), id);
            }
        }
        if due(expiry) {
            self.decide_alone(|controller, sessions, now_ms| {
                controller.fence_silent_brokers(sessions, now_ms)
            });
            self.elect_unclean();
        }
        if due(balance) {
            let count = self.decide_alone(|controller, _, _| controller.balance_leaders());
            let next = if count < ELECTIONS_PER_RUN { self.next_balance() } else { now_ms };
            if let Some(active) = &mut self.active {
                active.balance_at = next;
            }
        }
        if due(unclean) {
            let count = self.elect_unclean();
            let next = if count < ELECTIONS_PER_RUN { self.next_unclean() } else { now_ms };
            if let Some(active) = &mut self.active {
                active.unclean_at = next;
            }
        }
        if due(noop) {
            self.append(vec![MetadataRecord::NoOp(NoOpRecord::default())], None);
        }
    }

    /// Leaders for partitions that have none, where the topic would rather lose records than wait.
    fn elect_unclean(&mut self) -> usize {
        self.decide_alone(|controller, _, _| controller.elect_unclean_where_allowed())
    }

    fn next_unclean(&self) -> i64 {
        self.now_ms().saturating_add(UNCLEAN_EVERY_MS)
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

    pub(super) fn on_broker_lost(&mut self, id: BrokerId, epoch: BrokerEpoch) {
        let Some(active) = &self.active else { return };
        let known = active.image().brokers.get(&id);
        if known.is_some_and(|broker| broker.epoch == epoch && !broker.fenced) {
            tracing::warn!(
                "broker {id} cannot be reached any more; its partitions get other leaders"
            );
            self.decide_alone(|controller, sessions, _| controller.fence_broker(sessions, id));
            self.elect_unclean();
        }
    }
}

/// Looks whether a broker still accepts connections, and tells the loop if it does not. A broker that
/// lives and is fenced all the same comes back with its next heartbeat.
pub(super) fn probe(broker: &Arc<Broker>, image: &Image, id: BrokerId) {
    let known = image.brokers.get(&id).filter(|known| !known.fenced && id != broker.node);
    let Some(known) = known else { return };
    let Some(endpoint) = broker.inter_broker_endpoint(known) else { return };
    let address = HostPort { host: endpoint.host.clone(), port: endpoint.port };
    let (handle, epoch) = (broker.quorum.clone(), known.epoch);
    let net = Arc::clone(&broker.net);
    tokio::task::spawn_local(async move {
        if peer::is_gone(&*net, &address).await {
            handle.broker_lost(id, epoch);
        }
    });
}
