//! Transactions of a producer: records of several partitions, and offsets of a group, that are seen
//! by readers of committed records all together or not at all.
//!
//! The calls are the producer's own. Where it stands is kept in [`state`]; what the coordinators are
//! asked is in [`coordinator`].

pub(super) mod coordinator;
mod requests;
pub(super) mod state;

use std::time::Duration;

use tokio::time::timeout;

use super::Producer;
use super::accumulator::Accumulator;
use super::batch::Identity;
use crate::ConsumerGroupMetadata;
use crate::group_offsets::CommittedOffsets;
use crate::{Error, Result};

use coordinator::Coordinator;
use state::{Asked, Ending, Outcome, Protocol, Transaction};

impl Producer {
    /// Asks for the producer's identity. Whoever had the transactional id is fenced, and what it left
    /// open is aborted. Has to be called once before the first transaction; after a timeout, again.
    ///
    /// # Errors
    /// There is no `transactional.id`, the coordinator refuses, or `max.block.ms` is over.
    pub async fn init_transactions(&self) -> Result<()> {
        let coordinator = self.coordinator()?;
        self.with_transaction(|transaction| transaction.check_init())?;
        let asked = self.in_time("init_transactions", coordinator.init(None)).await;
        let (identity, protocol) = asked.map_err(|error| self.on_refused(error))?;
        self.with_transaction(|transaction| {
            transaction.on_ended(Some(identity), protocol);
            Ok(())
        })
    }

    /// Begins a transaction: what is sent from now on is part of it.
    ///
    /// # Errors
    /// One is open, or the producer is fenced.
    pub fn begin_transaction(&self) -> Result<()> {
        self.with_transaction(Transaction::begin)
    }

    /// Commits these offsets of a group if and when the transaction commits: the next offset to be
    /// read of each partition whose records are dealt with by this transaction.
    ///
    /// # Errors
    /// The member is no longer one of the group: the transaction is to be aborted. Or the producer is
    /// fenced, no transaction is open, or `max.block.ms` is over, after which it may be tried again.
    pub async fn send_offsets(
        &self,
        offsets: &CommittedOffsets,
        group: &ConsumerGroupMetadata,
    ) -> Result<()> {
        let coordinator = self.coordinator()?;
        if offsets.is_empty() {
            return self.with_transaction(|transaction| transaction.check_open());
        }
        let under = self.with_transaction(Transaction::on_offsets)?;
        let sent = coordinator.send_offsets(under, group, offsets);
        let outcome = self.in_time("send_offsets", sent).await;
        outcome.map_err(|error| self.on_refused(error))
    }

    /// Commits: waits until everything sent is answered, then has the coordinator decide.
    ///
    /// # Errors
    /// Something sent has failed: the transaction is to be aborted. Or the producer is fenced, or
    /// `max.block.ms` is over: then nobody knows yet, and the commit is to be called again.
    pub async fn commit_transaction(&self) -> Result<()> {
        self.end_transaction("commit_transaction", Outcome::Commit).await
    }

    /// Aborts: drops what has not been sent, and has the coordinator take back what has.
    ///
    /// # Errors
    /// The producer is fenced, or `max.block.ms` is over: then it is to be called again.
    pub async fn abort_transaction(&self) -> Result<()> {
        self.end_transaction("abort_transaction", Outcome::Abort).await
    }

    async fn end_transaction(&self, call: &str, outcome: Outcome) -> Result<()> {
        let coordinator = self.coordinator()?;
        self.with_transaction(|transaction| transaction.begin_end(outcome))?;
        if outcome == Outcome::Abort {
            self.shared.accumulator.lock().fail_all(&Error::TransactionAborted);
        }
        let settled = async {
            self.settle().await;
            self.with_transaction(|transaction| transaction.ending(outcome))
        };
        let ending = self.in_time(call, settled).await?;
        let told = self.in_time(call, tell(coordinator, ending, outcome)).await;
        let ended = told.map_err(|error| self.on_refused(error))?;
        let mut accumulator = self.shared.accumulator.lock();
        let Some(transaction) = accumulator.transaction() else { return Ok(()) };
        let (next, protocol) = ended.unwrap_or((None, transaction.protocol()));
        if transaction.on_ended(next, protocol) {
            accumulator.reset_sequences();
        }
        Ok(())
    }

    /// Waits until nothing of the transaction is on its way.
    async fn settle(&self) {
        self.flush().await;
        let is_adding = |accumulator: &mut Accumulator| {
            accumulator.transaction().is_some_and(|transaction| transaction.is_adding())
        };
        self.shared.until(|accumulator| !is_adding(accumulator)).await;
    }

    /// Takes over what an error means. A timeout means nothing but that.
    fn on_refused(&self, error: Error) -> Error {
        if !matches!(error, Error::Timeout(_) | Error::InvalidArgument(_)) {
            let mut accumulator = self.shared.accumulator.lock();
            if let Some(transaction) = accumulator.transaction() {
                transaction.on_error(Asked::Coordinator, &error);
            }
            accumulator.drop_if_failed();
            self.shared.done.notify_waiters();
        }
        error
    }

    fn with_transaction<T>(&self, with: impl FnOnce(&mut Transaction) -> Result<T>) -> Result<T> {
        let mut accumulator = self.shared.accumulator.lock();
        with(accumulator.transaction().ok_or_else(not_transactional)?)
    }

    fn coordinator(&self) -> Result<&Coordinator> {
        self.shared.coordinator.as_deref().ok_or_else(not_transactional)
    }

    async fn in_time<T>(&self, call: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let allowed = Duration::from_millis(self.config.max_block_ms);
        timeout(allowed, work).await.unwrap_or_else(|_| {
            let millis = allowed.as_millis();
            Err(Error::Timeout(format!("Timeout expired after {millis} ms while awaiting {call}")))
        })
    }
}

/// Has the coordinator end the transaction. Returns the identity after it, if that changes, and how the
/// cluster speaks by now.
async fn tell(
    coordinator: &Coordinator,
    ending: Ending,
    outcome: Outcome,
) -> Result<Option<(Option<Identity>, Protocol)>> {
    let Ending::Told { under, needs_epoch } = ending else { return Ok(None) };
    let (next, protocol) = coordinator.end(under, outcome).await?;
    if !needs_epoch {
        return Ok(Some((next, protocol)));
    }
    let (next, protocol) = coordinator.init(Some(next.unwrap_or(under.0))).await?;
    Ok(Some((Some(next), protocol)))
}

fn not_transactional() -> Error {
    Error::InvalidArgument("the producer has no transactional.id".to_owned())
}
