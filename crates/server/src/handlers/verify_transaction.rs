//! What the leader of a partition asks a producer's transaction coordinator before it lets a batch begin
//! a transaction there (KIP-890). Called for Produce and TxnOffsetCommit.

use kalda_coordinator::{AddPartitions, TopicPartitions};
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;

use super::group_caller::caller;
use crate::dispatch::RequestContext;
use crate::transactions::add_partitions;

/// What a client of a version of an API can do about a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ClientTransactions {
    /// It names partitions to the coordinator itself, and knows no error that asks for an abort.
    Named,
    /// The same, and it knows TRANSACTION_ABORTABLE.
    NamedAbortable,
    /// It leaves it to the leader to add partitions, and has a new epoch for every transaction.
    Implicit,
}

/// Whose transaction.
#[derive(Clone, Debug)]
pub(crate) struct TransactionalProducer {
    pub(crate) transactional_id: String,
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
}

/// Asks the coordinator whether the partitions are part of the producer's transaction, or to make them
/// part of it. Answers those that are not, with what the client is to be told.
pub(crate) async fn verify(
    cx: &RequestContext,
    producer: &TransactionalProducer,
    partitions: TopicPartitions,
    client: ClientTransactions,
) -> Vec<(String, i32, ErrorCode)> {
    let is_implicit = client == ClientTransactions::Implicit;
    let add = AddPartitions {
        transactional_id: producer.transactional_id.clone(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        partitions,
        verify_only: !is_implicit,
        client_version: if is_implicit { 2 } else { 0 },
    };
    let mut outcome = add_partitions(&cx.broker, &caller(cx), add).await;
    outcome.retain(|(_, _, error)| *error != ErrorCode::None);
    for (_, _, error) in &mut outcome {
        *error = match (*error, client) {
            (ErrorCode::ProducerFenced, _) => ErrorCode::InvalidProducerEpoch,
            (ErrorCode::TransactionAbortable, ClientTransactions::Named) => {
                ErrorCode::InvalidTxnState
            }
            (error, _) => error,
        };
    }
    outcome
}
