//! InitProducerId with a transactional id: a producer takes it over, and whoever had it is fenced.

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::request::TransactionResponse;
use super::state::{State, Transaction, is_exhausted};
use super::{Decision, TransactionShard, server_version};
use crate::decision::Context;
use crate::records::NAME_BYTES_MAX;

/// The id and epoch that a producer believes it has (KIP-360).
#[derive(Clone, Copy)]
struct Believed {
    producer_id: ProducerId,
    epoch: ProducerEpoch,
}

/// What a take-over comes to.
enum Step {
    /// A new state of the id, and the epoch before it if the producer may ask again under that.
    Take(Box<Transaction>, Option<ProducerEpoch>),
    /// It was done before.
    Repeat,
    NeedsProducerId,
}

impl TransactionShard {
    pub(super) fn init_producer_id(
        &mut self,
        request: &InitProducerIdRequest,
        spare: Option<ProducerId>,
        cx: &Context<'_>,
        out: &mut Decision,
    ) -> Result<TransactionResponse, ErrorCode> {
        let id = request.transactional_id.as_deref().unwrap_or_default();
        let timeout_ms = request.transaction_timeout_ms;
        if id.is_empty() || id.len() > NAME_BYTES_MAX {
            return Err(ErrorCode::InvalidRequest);
        }
        if timeout_ms <= 0 || timeout_ms > self.settings.max_timeout_ms {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        let believed = believed(request)?;
        let Some(transaction) = self.ids.get(id) else {
            // An id that has expired is begun anew, even by a producer that had it before.
            let Some(spare) = spare else { return Ok(TransactionResponse::NeedsProducerId) };
            let begun = Transaction::begin(spare, timeout_ms, server_version(cx), cx.wall_ms);
            self.log(id, &begun, cx, out);
            return Ok(answer(&begun));
        };
        let step = self.take_over(id, transaction, timeout_ms, believed, spare, cx, out)?;
        match step {
            Step::NeedsProducerId => Ok(TransactionResponse::NeedsProducerId),
            Step::Repeat => Ok(answer(transaction)),
            Step::Take(taken, last_epoch) => {
                self.log(id, &taken, cx, out);
                self.next_last_epoch = last_epoch.map(|epoch| (id.to_owned(), epoch));
                Ok(answer(&taken))
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // What a request brings, and where its outcome goes.
    fn take_over(
        &self,
        id: &str,
        transaction: &Transaction,
        timeout_ms: i32,
        believed: Option<Believed>,
        spare: Option<ProducerId>,
        cx: &Context<'_>,
        out: &mut Decision,
    ) -> Result<Step, ErrorCode> {
        if believed.is_some_and(|believed| !is_its_id(transaction, believed)) {
            return Err(ErrorCode::ProducerFenced);
        }
        match transaction.state {
            State::PrepareCommit | State::PrepareAbort => Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing => {
                // Whoever is at it is fenced, and its transaction aborted; then this one goes on. A
                // producer that is behind does not get to do that.
                let is_behind = |believed: Believed| believed.epoch != transaction.epoch;
                if let Some(believed) = believed.filter(|believed| is_behind(*believed)) {
                    return Err(transaction.refusal_of(believed.producer_id, believed.epoch));
                }
                let fenced = transaction.fence(server_version(cx), cx.wall_ms);
                self.log_end(id, &fenced, cx, out);
                Err(ErrorCode::ConcurrentTransactions)
            }
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                let last_epoch = self.last_epochs.get(id).copied();
                match believed {
                    Some(believed) if !is_current(transaction, believed) => {
                        // The answer to its last bump was lost, and nobody came between.
                        let is_repeated = Some(believed.epoch) == last_epoch;
                        if is_repeated {
                            Ok(Step::Repeat)
                        } else {
                            Err(transaction.refusal_of(believed.producer_id, believed.epoch))
                        }
                    }
                    _ if is_exhausted(transaction.epoch) => Ok(match spare {
                        None => Step::NeedsProducerId,
                        Some(spare) => {
                            let rotated = transaction.rotate(spare, timeout_ms, cx.wall_ms);
                            Step::Take(Box::new(rotated), believed.map(|_| transaction.epoch))
                        }
                    }),
                    _ => {
                        let bumped = transaction.bump_epoch(timeout_ms, cx.wall_ms);
                        Ok(Step::Take(Box::new(bumped), believed.map(|_| transaction.epoch)))
                    }
                }
            }
            State::Dead | State::PrepareEpochFence => Err(ErrorCode::InvalidTxnState),
        }
    }
}

fn believed(request: &InitProducerIdRequest) -> Result<Option<Believed>, ErrorCode> {
    let believed = Believed {
        producer_id: ProducerId(request.producer_id),
        epoch: ProducerEpoch(request.producer_epoch),
    };
    match (believed.producer_id.0 >= 0, believed.epoch.0 >= 0) {
        (true, true) => Ok(Some(believed)),
        (false, false) => Ok(None),
        _ => Err(ErrorCode::InvalidRequest),
    }
}

/// Whether a producer that believes so has this id, or had it until its epochs were used up.
fn is_its_id(transaction: &Transaction, believed: Believed) -> bool {
    believed.producer_id == transaction.producer_id
        || believed.producer_id == transaction.previous_producer_id && is_exhausted(believed.epoch)
}

fn is_current(transaction: &Transaction, believed: Believed) -> bool {
    believed.producer_id == transaction.producer_id && believed.epoch == transaction.epoch
}

fn answer(transaction: &Transaction) -> TransactionResponse {
    TransactionResponse::InitProducerId(InitProducerIdResponse {
        producer_id: transaction.producer_id.0,
        producer_epoch: transaction.epoch.0,
        ..InitProducerIdResponse::default()
    })
}
