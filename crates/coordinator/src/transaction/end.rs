//! EndTxn: commit or abort. Logged, answered, and then carried to the partitions by markers.

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};

use super::request::TransactionResponse;
use super::state::{State, Transaction, is_exhausted, is_of_markers};
use super::{Decision, TransactionShard};
use crate::decision::Context;

/// What the request is to the transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relation {
    /// It has the producer's id and epoch.
    Current,
    /// It has those from before the end, which the producer has not heard of (KIP-890).
    Repeated,
}

impl TransactionShard {
    pub(super) fn end_txn(
        &self,
        request: &EndTxnRequest,
        spare: Option<ProducerId>,
        client_version: i16,
        cx: &Context<'_>,
        out: &mut Decision,
    ) -> Result<TransactionResponse, ErrorCode> {
        let id = request.transactional_id.as_str();
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let transaction = self.ids.get(id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let relation = relation(transaction, request, client_version)?;
        let commit = request.committed;
        let done = |commit_state: bool| {
            if commit == commit_state {
                Ok(answer(transaction.producer_id, transaction.epoch))
            } else {
                Err(ErrorCode::InvalidTxnState)
            }
        };
        match (transaction.state, relation) {
            (State::Ongoing, _) => {}
            // Under version 2 an abort of nothing is allowed: the partitions that were to be part of
            // the transaction may have refused.
            (State::Empty, _) if !commit && client_version >= 2 => {}
            (State::CompleteCommit | State::CompleteAbort, Relation::Current)
                if !commit && client_version >= 2 => {}
            (State::CompleteCommit, Relation::Current) if client_version >= 2 => {
                return Err(ErrorCode::InvalidTxnState);
            }
            (State::CompleteAbort, Relation::Current) if client_version >= 2 => {
                return Err(ErrorCode::InvalidTxnState);
            }
            (State::CompleteCommit, _) => return done(true),
            (State::CompleteAbort, _) => return done(false),
            (State::PrepareCommit | State::PrepareAbort, _) => {
                let same = commit == (transaction.state == State::PrepareCommit);
                return Err(if same {
                    ErrorCode::ConcurrentTransactions
                } else {
                    ErrorCode::InvalidTxnState
                });
            }
            (State::Empty | State::Dead | State::PrepareEpochFence, _) => {
                return Err(ErrorCode::InvalidTxnState);
            }
        }
        let needs_id = client_version >= 2 && is_exhausted(transaction.epoch);
        if needs_id && spare.is_none() {
            return Ok(TransactionResponse::NeedsProducerId);
        }
        let spare = spare.filter(|_| needs_id);
        let ended = transaction.end(commit, client_version, spare, cx.wall_ms);
        self.log_end(id, &ended, cx, out);
        // What the producer goes on with, although the markers are still to come.
        Ok(match ended.next_producer_id {
            ProducerId::NONE => answer(ended.producer_id, ended.epoch),
            next => answer(next, ProducerEpoch(0)),
        })
    }
}

fn relation(
    transaction: &Transaction,
    request: &EndTxnRequest,
    client_version: i16,
) -> Result<Relation, ErrorCode> {
    let (id, epoch) = (ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch));
    let has_ended = !matches!(transaction.state, State::Ongoing | State::Empty);
    let is_repeatable = client_version >= 2 && transaction.version >= 2 && has_ended;
    // The epoch after its last one is that of a new producer id.
    let overflowed = is_repeatable
        && transaction.previous_producer_id == id
        && is_exhausted(epoch)
        && transaction.epoch == ProducerEpoch(0);
    if overflowed {
        return Ok(Relation::Repeated);
    }
    if transaction.producer_id != id {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    let is_beyond = is_of_markers(transaction.epoch) && !transaction.state.is_ending();
    if is_beyond || is_of_markers(epoch) {
        return Err(ErrorCode::ProducerFenced);
    }
    if is_repeatable && i32::from(transaction.epoch.0) == i32::from(epoch.0) + 1 {
        return Ok(Relation::Repeated);
    }
    if transaction.epoch != epoch {
        return Err(transaction.refusal_of(id, epoch));
    }
    if is_repeatable && transaction.state.is_ending() {
        // It has heard how its last transaction ended, and ends the next one, in which nothing was
        // written, before the markers of the last are.
        return Err(ErrorCode::ConcurrentTransactions);
    }
    Ok(Relation::Current)
}

fn answer(producer_id: ProducerId, epoch: ProducerEpoch) -> TransactionResponse {
    TransactionResponse::EndTxn(EndTxnResponse {
        producer_id: producer_id.0,
        producer_epoch: epoch.0,
        ..EndTxnResponse::default()
    })
}
