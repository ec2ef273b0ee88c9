//! One partition of `__transaction_state`: its transactional ids (KIP-98, KIP-360, KIP-890).
//!
//! Called by the loop that the server runs for the partition. As with groups, the events decide and
//! `replay` changes; a decision is replayed before the next event comes, so that no transition is ever
//! pending in memory. Ending a transaction takes two records: the first is the decision, after which
//! the producer is answered, the second says that every partition has its marker.

mod add;
mod describe;
mod end;
mod held;
mod init;
mod records;
mod request;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kalda_model::{Offset, ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::stored::transaction::TransactionKey;

use crate::contract::{Coordinator, coordinator_error};
use crate::decision::{
    Context, CoordinatorRecord, Decision as AnyDecision, Token, TransactionEnding,
};
use crate::records::ReplayError;
use crate::request::Caller;
use held::Held;
use records::Replayed;
use state::{State, Transaction};

pub use request::{AddPartitions, TransactionRequest, TransactionResponse};

type Decision = AnyDecision<TransactionResponse>;

/// The feature whose level clients and brokers agree on.
const TRANSACTION_VERSION: &str = "transaction.version";
/// The pause before a step is tried again that could not be logged.
const RETRY_MS: i64 = 1_000;
/// Tombstones in one turn of the sweep.
const SWEEP_RECORDS_MAX: usize = 5_000;
/// The pause before a sweep that was cut short goes on.
const SWEEP_PAUSE_MS: i64 = 1_000;

/// What the broker's configuration says of transactions; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionSettings {
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiration_check_interval_ms: i64,
    /// `add.partitions.to.txn.retry.backoff.max.ms`: how long a request may wait for the markers of
    /// the transaction before, until its producer is told to try again.
    pub held_ms_max: i64,
}

impl Default for TransactionSettings {
    fn default() -> Self {
        Self {
            max_timeout_ms: 900_000,
            id_expiration_ms: Duration::from_secs(7 * 24 * 60 * 60).as_millis() as i64,
            expiration_check_interval_ms: 3_600_000,
            held_ms_max: 100,
        }
    }
}

/// The coordinator of the transactional ids in one partition of `__transaction_state`.
#[derive(Debug)]
pub struct TransactionShard {
    settings: TransactionSettings,
    /// The leader epoch of the partition: markers carry it, and the older one of two coordinators
    /// is refused.
    coordinator_epoch: i32,
    ids: BTreeMap<String, Transaction>,
    /// The epoch that a producer had before its last bump, if it may repeat that request. Not
    /// logged: whoever asks the next coordinator is fenced, as in Kafka.
    last_epochs: BTreeMap<String, ProducerEpoch>,
    /// What [`Self::last_epochs`] becomes when the record that is decided now is replayed.
    next_last_epoch: Option<(String, ProducerEpoch)>,
    /// Requests that wait for a transaction to be complete.
    held: Held,
    /// The clock of timers and the wall clock at the last event; `None` until loaded.
    clocks: Option<(i64, i64)>,
    /// When something is to be done about an id: the end of its time, or another try. Counted by a clock
    /// that nobody sets, though what is logged is wall-clock time.
    timers: BTreeSet<(i64, String)>,
    armed_ms: BTreeMap<String, i64>,
    /// When ids are next looked through for expired ones; `None` until loaded.
    next_sweep_ms: Option<i64>,
    last_replayed: Option<Offset>,
}

impl TransactionShard {
    /// A shard that has yet to replay its log.
    #[must_use]
    pub fn new(settings: TransactionSettings, coordinator_epoch: i32) -> Self {
        Self {
            settings,
            coordinator_epoch,
            ids: BTreeMap::new(),
            last_epochs: BTreeMap::new(),
            next_last_epoch: None,
            held: Held::default(),
            clocks: None,
            timers: BTreeSet::new(),
            armed_ms: BTreeMap::new(),
            next_sweep_ms: None,
            last_replayed: None,
        }
    }

    /// Every partition of a transaction has its marker, or is gone.
    pub fn on_markers_written(&mut self, ending: &TransactionEnding, cx: &Context<'_>) -> Decision {
        let mut out = self.decision_at(cx);
        let Some(transaction) = self.ids.get(&ending.transactional_id) else { return out };
        let is_this_one = transaction.state.is_ending()
            && transaction.producer_id == ending.producer_id
            && transaction.epoch == ending.producer_epoch;
        if is_this_one {
            let completed = transaction.complete(cx.wall_ms);
            self.log(&ending.transactional_id, &completed, cx, &mut out);
        }
        out
    }

    fn decision(&self) -> Decision {
        Decision { after: self.last_replayed, ..Decision::default() }
    }

    /// Begins a decision at an event: replaying it is of that time, too.
    fn decision_at(&mut self, cx: &Context<'_>) -> Decision {
        self.clocks = Some((cx.now_ms, cx.wall_ms));
        self.decision()
    }

    /// When the time of a transaction is over, if it is open and the time is known.
    fn deadline_ms(&self, transaction: &Transaction) -> Option<i64> {
        let (now_ms, wall_ms) = self.clocks?;
        Some(now_ms.saturating_add(transaction.left_ms(wall_ms)?))
    }

    /// Adds the record of a step to a decision.
    fn log(&self, id: &str, step: &Transaction, cx: &Context<'_>, out: &mut Decision) {
        out.records.push(records::encode(id, step, server_version(cx)));
    }

    /// Logs that a transaction ends, and asks for its markers.
    fn log_end(&self, id: &str, ended: &Transaction, cx: &Context<'_>, out: &mut Decision) {
        self.log(id, ended, cx, out);
        out.endings.push(self.ending(id, ended));
    }

    fn ending(&self, id: &str, ended: &Transaction) -> TransactionEnding {
        TransactionEnding {
            transactional_id: id.to_owned(),
            producer_id: ended.producer_id,
            producer_epoch: ended.epoch,
            coordinator_epoch: self.coordinator_epoch,
            transaction_version: ended.version,
            commit: ended.state == State::PrepareCommit,
            partitions: ended.partitions.clone(),
        }
    }

    fn arm(&mut self, id: &str, at_ms: Option<i64>) {
        if let Some(armed_ms) = self.armed_ms.remove(id) {
            self.timers.remove(&(armed_ms, id.to_owned()));
        }
        if let Some(at_ms) = at_ms {
            self.timers.insert((at_ms, id.to_owned()));
            self.armed_ms.insert(id.to_owned(), at_ms);
        }
    }

    /// An id's timer fired: its transaction has run out of time, or its markers are to be asked for
    /// again.
    fn on_id_due(&self, id: &str, cx: &Context<'_>, out: &mut Decision) {
        let Some(transaction) = self.ids.get(id) else { return };
        if transaction.state == State::Ongoing {
            let fenced = transaction.fence(server_version(cx), cx.wall_ms);
            self.log_end(id, &fenced, cx, out);
        } else if transaction.state.is_ending() {
            out.endings.push(self.ending(id, transaction));
        }
    }

    /// Forgets ids whose time is over.
    fn sweep(&mut self, cx: &Context<'_>, out: &mut Decision) {
        let interval_ms = self.settings.expiration_check_interval_ms.max(SWEEP_PAUSE_MS);
        self.next_sweep_ms = Some(cx.now_ms.saturating_add(interval_ms));
        for (id, transaction) in &self.ids {
            if out.records.len() >= SWEEP_RECORDS_MAX {
                self.next_sweep_ms = Some(cx.now_ms.saturating_add(SWEEP_PAUSE_MS));
                break;
            }
            let silent_ms = cx.wall_ms.saturating_sub(transaction.last_update_ms);
            if transaction.may_expire() && silent_ms >= self.settings.id_expiration_ms {
                out.records.push(records::tombstone(id));
            }
        }
    }

    /// What the log says, for comparison in tests.
    #[cfg(test)]
    pub(crate) fn logged(&self) -> &BTreeMap<String, Transaction> {
        &self.ids
    }
}

impl Coordinator for TransactionShard {
    type Request = TransactionRequest;
    type Response = TransactionResponse;

    fn handle(
        &mut self,
        token: Token,
        caller: &Caller,
        request: TransactionRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let mut out = self.decision_at(cx);
        let until_ms = cx.now_ms.saturating_add(self.settings.held_ms_max);
        self.decide(
            held::Request { token, caller: caller.clone(), request, until_ms },
            cx,
            &mut out,
        );
        out
    }

    fn replay(&mut self, offset: Offset, record: &CoordinatorRecord) -> Result<(), ReplayError> {
        if let Replayed::Id(id, transaction) = records::decode(record)? {
            self.on_replayed(id, transaction);
        }
        self.last_replayed = Some(offset);
        Ok(())
    }

    fn replay_transactional(
        &mut self,
        _producer_id: ProducerId,
        offset: Offset,
        record: &CoordinatorRecord,
    ) -> Result<(), ReplayError> {
        // No coordinator writes here inside a transaction of somebody.
        self.replay(offset, record)
    }

    fn replay_marker(
        &mut self,
        _producer_id: ProducerId,
        _producer_epoch: ProducerEpoch,
        _commit: bool,
        offset: Offset,
    ) {
        self.last_replayed = Some(offset);
    }

    fn on_loaded(&mut self, cx: &Context<'_>) -> Decision {
        self.next_sweep_ms =
            Some(cx.now_ms.saturating_add(self.settings.expiration_check_interval_ms));
        let mut out = self.decision_at(cx);
        let open = |(id, transaction): (&String, &Transaction)| {
            Some((id.clone(), self.deadline_ms(transaction)?))
        };
        for (id, at_ms) in self.ids.iter().filter_map(open).collect::<Vec<_>>() {
            self.arm(&id, Some(at_ms));
        }
        let ending = self.ids.iter().filter(|(_, transaction)| transaction.state.is_ending());
        out.endings.extend(ending.map(|(id, transaction)| self.ending(id, transaction)));
        out
    }

    fn next_timer_ms(&self) -> Option<i64> {
        let id = self.timers.first().map(|(at_ms, _)| *at_ms);
        id.into_iter().chain(self.held.next_ms()).chain(self.next_sweep_ms).min()
    }

    fn on_timer(&mut self, cx: &Context<'_>) -> Decision {
        let mut out = self.decision_at(cx);
        // One at a time: the next may be about the same id, and must see what this one changes.
        if let Some(request) = self.held.take_due(cx.now_ms) {
            self.decide(request, cx, &mut out);
            return out;
        }
        while let Some((at_ms, id)) = self.timers.first().cloned() {
            if at_ms > cx.now_ms || out.records.len() >= SWEEP_RECORDS_MAX {
                break;
            }
            self.arm(&id, None);
            self.on_id_due(&id, cx, &mut out);
        }
        if self.next_sweep_ms.is_some_and(|at_ms| at_ms <= cx.now_ms) {
            self.sweep(cx, &mut out);
        }
        out
    }

    fn on_append_failed(
        &mut self,
        failed: Decision,
        error: ErrorCode,
        cx: &Context<'_>,
    ) -> Decision {
        let error = coordinator_error(error);
        self.next_last_epoch = None;
        let mut out = self.decision_at(cx);
        out.answers = failed
            .answers
            .into_iter()
            .map(|(token, answer)| (token, answer.into_error(error)))
            .collect();
        let logged = failed.records.iter().filter_map(|record| {
            match TransactionKey::decode(record.key.clone()) {
                Ok(TransactionKey::TransactionLog(key)) => Some(key.transactional_id),
                _ => None,
            }
        });
        // An end that was decided before goes down with what another id was to log.
        let ending = failed.endings.iter().map(|ending| ending.transactional_id.clone());
        for id in logged.chain(ending) {
            // What was to happen by itself is tried again; a producer asks again itself.
            let retry_ms = cx.now_ms.saturating_add(RETRY_MS);
            let at_ms = match self.ids.get(&id) {
                Some(transaction) if transaction.state.is_ending() => Some(retry_ms),
                Some(transaction) => self.deadline_ms(transaction).map(|at_ms| at_ms.max(retry_ms)),
                None => None,
            };
            self.arm(&id, at_ms);
        }
        out
    }

    fn unload(&mut self) -> Vec<(Token, TransactionResponse)> {
        self.timers.clear();
        self.armed_ms.clear();
        self.next_sweep_ms = None;
        let refuse = |request: held::Request| {
            let refusal = refusal(&request.request, ErrorCode::NotCoordinator);
            (request.token, refusal)
        };
        self.held.take_all().into_iter().map(refuse).collect()
    }

    fn refuse(response: TransactionResponse, error: ErrorCode) -> TransactionResponse {
        response.into_error(error)
    }
}

impl TransactionShard {
    fn on_replayed(&mut self, id: String, transaction: Option<Transaction>) {
        let hint = self.next_last_epoch.take().filter(|(hinted, _)| *hinted == id);
        match hint {
            Some((id, epoch)) => {
                self.last_epochs.insert(id, epoch);
            }
            None => {
                self.last_epochs.remove(&id);
            }
        }
        let Some(transaction) = transaction else {
            self.ids.remove(&id);
            self.arm(&id, None);
            return;
        };
        let at_ms = self.deadline_ms(&transaction);
        self.arm(&id, at_ms);
        if !transaction.state.is_ending() {
            self.held.release(&id);
        }
        self.ids.insert(id, transaction);
    }

    /// Decides on a request that is new, or was held and may go on.
    fn decide(&mut self, request: held::Request, cx: &Context<'_>, out: &mut Decision) {
        let response = match &request.request {
            TransactionRequest::InitProducerId { request: init, spare } => {
                self.init_producer_id(init, *spare, cx, out)
            }
            TransactionRequest::AddPartitions(add) => self.add_partitions(add, cx, out),
            TransactionRequest::EndTxn { request: end, spare, client_version } => {
                self.end_txn(end, *spare, *client_version, cx, out)
            }
            TransactionRequest::Describe(id) => {
                Ok(TransactionResponse::Describe(self.describe(id)))
            }
            TransactionRequest::List(filters) => {
                Ok(TransactionResponse::List(self.list(filters, cx.wall_ms)))
            }
        };
        match response {
            Ok(response) => out.answers.push((request.token, response)),
            // The markers are on their way: a moment's wait spares the producer a round trip.
            Err(ErrorCode::ConcurrentTransactions) if request.until_ms > cx.now_ms => {
                self.held.push(transactional_id(&request.request).to_owned(), request);
            }
            Err(error) => {
                let response = refusal(&request.request, error);
                out.answers.push((request.token, response));
            }
        }
    }
}

/// The level of `transaction.version` that the cluster has agreed on.
fn server_version(cx: &Context<'_>) -> i16 {
    cx.image.features.get(TRANSACTION_VERSION).copied().unwrap_or(0)
}

fn transactional_id(request: &TransactionRequest) -> &str {
    match request {
        TransactionRequest::InitProducerId { request, .. } => {
            request.transactional_id.as_deref().unwrap_or_default()
        }
        TransactionRequest::AddPartitions(request) => &request.transactional_id,
        TransactionRequest::EndTxn { request, .. } => &request.transactional_id,
        TransactionRequest::Describe(id) => id,
        TransactionRequest::List(_) => "",
    }
}

fn refusal(request: &TransactionRequest, error: ErrorCode) -> TransactionResponse {
    match request {
        TransactionRequest::InitProducerId { .. } => {
            TransactionResponse::InitProducerId(request::init_error(error))
        }
        TransactionRequest::AddPartitions(add) => {
            TransactionResponse::AddPartitions(add::all(&add.partitions, error))
        }
        TransactionRequest::EndTxn { .. } => TransactionResponse::EndTxn(request::end_error(error)),
        TransactionRequest::Describe(id) => {
            TransactionResponse::Describe(describe::refused(id, error))
        }
        TransactionRequest::List(_) => TransactionResponse::List(Err(error)),
    }
}

#[cfg(test)]
mod tests;
