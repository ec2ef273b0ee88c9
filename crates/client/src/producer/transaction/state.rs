//! Where a transactional producer stands: what it may do now, and what an error makes of that.
//!
//! Shared by the producer's calls and the sender, behind one short lock. Pure: it never waits and
//! speaks to no broker. Errors are those that end the transaction and those that end the producer,
//! sorted as the Java client sorts them.

use std::collections::BTreeSet;

use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;

use crate::producer::batch::Identity;
use crate::{Error, Result};

/// How the coordinator hears of what is part of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::producer) enum Protocol {
    /// It is told before anything is sent; an epoch lasts over many transactions (KIP-98).
    Named,
    /// The leaders tell it; every transaction has an epoch of its own (KIP-890).
    Implicit,
}

impl Protocol {
    /// From this level of `transaction.version` on the leaders tell.
    const IMPLICIT_SINCE: i16 = 2;

    pub(super) fn of(transaction_version: i16) -> Self {
        match transaction_version >= Self::IMPLICIT_SINCE {
            true => Self::Implicit,
            false => Self::Named,
        }
    }

    /// The newest Produce that speaks it.
    pub(in crate::producer) fn produce_version_max(self) -> i16 {
        match self {
            Self::Named => 11,
            Self::Implicit => i16::MAX,
        }
    }

    /// The oldest Produce that speaks it.
    pub(in crate::producer) fn produce_version_min(self) -> i16 {
        match self {
            Self::Named => 0,
            Self::Implicit => 12,
        }
    }
}

/// Who is asked, for an error means different things in different answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::producer) enum Asked {
    /// The leader of a partition.
    Leader,
    /// A coordinator.
    Coordinator,
}

/// What an error that is not worth another attempt means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Severity {
    /// The transaction can only be aborted.
    Abortable,
    /// The producer is at its end.
    Fatal,
}

/// How a transaction is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::producer) enum Outcome {
    Commit,
    Abort,
}

#[derive(Clone, PartialEq, Debug)]
enum State {
    /// It has no identity yet.
    Uninitialized,
    /// No transaction is open.
    Ready,
    Open,
    /// The transaction can only be aborted, for that reason.
    Failed(Error),
    /// An end was asked for; it may have to be asked for again.
    Ending(Outcome),
    /// The producer can do nothing more, for that reason.
    Dead(Error),
}

/// What has to be done to end a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::producer) enum Ending {
    /// Nothing: the coordinator has not heard of it.
    Unheard,
    /// The coordinator is to be told, and perhaps to be asked for another epoch after that.
    Told { under: (Identity, Protocol), needs_epoch: bool },
}

/// The transactions of one producer.
#[derive(Debug)]
pub(in crate::producer) struct Transaction {
    state: State,
    identity: Option<Identity>,
    protocol: Protocol,
    /// The coordinator has heard of the open transaction, or may have.
    is_heard_of: bool,
    /// The partitions that the coordinator was told of.
    added: BTreeSet<TopicPartition>,
    /// It is being told of more.
    is_adding: bool,
    /// A batch failed or was dropped that had a sequence: the next one is only known again under
    /// another epoch.
    is_in_doubt: bool,
}

impl Transaction {
    pub(in crate::producer) fn new() -> Self {
        Self {
            state: State::Uninitialized,
            identity: None,
            protocol: Protocol::Named,
            is_heard_of: false,
            added: BTreeSet::new(),
            is_adding: false,
            is_in_doubt: false,
        }
    }

    /// Under whom to send; `None` before the coordinator was asked.
    pub(in crate::producer) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    pub(in crate::producer) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether the coordinator may be asked for the first identity.
    pub(super) fn check_init(&self) -> Result<()> {
        match &self.state {
            State::Uninitialized => Ok(()),
            State::Dead(error) => Err(error.clone()),
            _ => Err(misuse("the producer's transactions are initialized already")),
        }
    }

    pub(in crate::producer) fn begin(&mut self) -> Result<()> {
        match &self.state {
            State::Ready => {
                self.state = State::Open;
                Ok(())
            }
            State::Uninitialized => Err(misuse("init_transactions has not been called")),
            State::Dead(error) => Err(error.clone()),
            State::Open | State::Failed(_) | State::Ending(_) => {
                Err(misuse("a transaction is open already"))
            }
        }
    }

    /// Whether records and offsets may become part of the transaction.
    pub(in crate::producer) fn check_open(&self) -> Result<()> {
        match &self.state {
            State::Open => Ok(()),
            State::Failed(error) | State::Dead(error) => Err(error.clone()),
            State::Uninitialized | State::Ready | State::Ending(_) => {
                Err(misuse("no transaction is open"))
            }
        }
    }

    /// Whether batches may be sent, or be sent again.
    pub(in crate::producer) fn may_send(&self) -> bool {
        matches!(self.state, State::Open | State::Ending(Outcome::Commit))
    }

    /// Those of `ready` whose batches may go out, and those that the coordinator is told of first.
    pub(in crate::producer) fn sort_ready(
        &mut self,
        ready: Vec<TopicPartition>,
    ) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
        if !self.may_send() {
            return (Vec::new(), Vec::new());
        }
        self.is_heard_of |= !ready.is_empty();
        match self.protocol {
            Protocol::Implicit => (ready, Vec::new()),
            Protocol::Named => {
                ready.into_iter().partition(|partition| self.added.contains(partition))
            }
        }
    }

    /// The coordinator is being told of partitions; only once at a time, so that the transaction does
    /// not end under it.
    pub(in crate::producer) fn begin_adding(&mut self) -> Option<Identity> {
        let identity = self.identity.filter(|_| !self.is_adding)?;
        self.is_adding = true;
        Some(identity)
    }

    pub(in crate::producer) fn is_adding(&self) -> bool {
        self.is_adding
    }

    pub(in crate::producer) fn on_added(
        &mut self,
        partitions: Vec<TopicPartition>,
        outcome: Result<()>,
    ) {
        self.is_adding = false;
        match outcome {
            Ok(()) => self.added.extend(partitions),
            Err(error) => self.on_error(Asked::Coordinator, &error),
        }
    }

    /// Offsets are about to be sent.
    pub(super) fn on_offsets(&mut self) -> Result<(Identity, Protocol)> {
        self.check_open()?;
        self.is_heard_of = true;
        Ok((self.identified()?, self.protocol))
    }

    /// The transaction is to end so. Asking again for the same is how an end without an answer goes on.
    pub(in crate::producer) fn begin_end(&mut self, outcome: Outcome) -> Result<()> {
        match (&self.state, outcome) {
            (State::Open, _) | (State::Failed(_), Outcome::Abort) => {
                self.state = State::Ending(outcome);
                Ok(())
            }
            (State::Ending(begun), _) if *begun == outcome => Ok(()),
            (State::Ending(_), _) => {
                Err(misuse("the transaction's other end was asked for and has no answer yet"))
            }
            (State::Failed(error) | State::Dead(error), _) => Err(error.clone()),
            (State::Uninitialized | State::Ready, _) => Err(misuse("no transaction is open")),
        }
    }

    /// What is left to be done for the end, when all batches are answered.
    pub(in crate::producer) fn ending(&self, outcome: Outcome) -> Result<Ending> {
        match &self.state {
            State::Ending(begun) if *begun == outcome => match self.is_heard_of {
                true => Ok(Ending::Told {
                    under: (self.identified()?, self.protocol),
                    needs_epoch: self.is_in_doubt && self.protocol == Protocol::Named,
                }),
                false => Ok(Ending::Unheard),
            },
            State::Failed(error) | State::Dead(error) => Err(error.clone()),
            _ => Err(misuse("no transaction is open")),
        }
    }

    /// The transaction is over, or there is a first identity; what follows is sent under `identity`, if
    /// that is told. Returns whether sequences begin anew.
    pub(in crate::producer) fn on_ended(
        &mut self,
        identity: Option<Identity>,
        protocol: Protocol,
    ) -> bool {
        let is_new = identity.is_some() && identity != self.identity;
        self.identity = identity.or(self.identity);
        self.protocol = protocol;
        self.state = State::Ready;
        self.is_heard_of = false;
        self.is_in_doubt = false;
        self.added.clear();
        is_new
    }

    /// A batch is given up.
    pub(in crate::producer) fn on_batch_lost(&mut self, had_sequence: bool) {
        self.is_in_doubt |= had_sequence;
    }

    /// Why nothing more may be sent, if that is so.
    pub(in crate::producer) fn failure(&self) -> Option<&Error> {
        match &self.state {
            State::Failed(error) | State::Dead(error) => Some(error),
            _ => None,
        }
    }

    /// Something failed for good.
    pub(in crate::producer) fn on_error(&mut self, asked: Asked, error: &Error) {
        match (&self.state, severity(asked, error)) {
            (State::Dead(_), _) => {}
            (_, Severity::Fatal) => self.state = State::Dead(error.clone()),
            (State::Open | State::Ending(Outcome::Commit), Severity::Abortable) => {
                self.state = State::Failed(error.clone());
            }
            // It has failed before, or is being aborted, or there is none.
            (_, Severity::Abortable) => {}
        }
    }

    fn identified(&self) -> Result<Identity> {
        self.identity.ok_or_else(|| misuse("init_transactions has not been called"))
    }
}

fn misuse(what: &str) -> Error {
    Error::InvalidArgument(what.to_owned())
}

fn severity(asked: Asked, error: &Error) -> Severity {
    use ErrorCode as E;
    let Some(code) = error.code() else {
        return match error {
            Error::Disconnected { .. } | Error::Timeout(_) | Error::CorruptRecord(_) => {
                Severity::Abortable
            }
            _ => Severity::Fatal,
        };
    };
    match (asked, code) {
        (
            _,
            E::ProducerFenced
            | E::InvalidProducerIdMapping
            | E::TransactionalIdAuthorizationFailed
            | E::ClusterAuthorizationFailed
            | E::UnsupportedVersion,
        ) => Severity::Fatal,
        // The coordinator will say whether the producer is fenced.
        (Asked::Leader, _) => Severity::Abortable,
        (
            Asked::Coordinator,
            E::TransactionAbortable
            | E::UnknownProducerId
            | E::TopicAuthorizationFailed
            | E::GroupAuthorizationFailed
            | E::UnknownMemberId
            | E::IllegalGeneration
            | E::FencedInstanceId
            | E::OperationNotAttempted,
        ) => Severity::Abortable,
        (Asked::Coordinator, code) if code.is_retriable() => Severity::Abortable,
        (Asked::Coordinator, _) => Severity::Fatal,
    }
}

#[cfg(test)]
mod tests;
