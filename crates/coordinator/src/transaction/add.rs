//! Partitions become part of a transaction: by AddPartitionsToTxn and AddOffsetsToTxn of a producer,
//! or by its first write there (KIP-890), for which the leader of the partition asks.

use kalda_protocol::ErrorCode;

use super::request::{AddPartitions, TransactionResponse};
use super::state::{State, Transaction, is_of_markers};
use super::{Decision, TransactionShard};
use crate::decision::{Context, TopicPartitions};

impl TransactionShard {
    pub(super) fn add_partitions(
        &self,
        request: &AddPartitions,
        cx: &Context<'_>,
        out: &mut Decision,
    ) -> Result<TransactionResponse, ErrorCode> {
        let id = request.transactional_id.as_str();
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let transaction = self.ids.get(id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if transaction.producer_id != request.producer_id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if transaction.epoch != request.producer_epoch || is_of_markers(transaction.epoch) {
            return Err(transaction.refusal_of(request.producer_id, request.producer_epoch));
        }
        if transaction.state.is_ending() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        if request.verify_only {
            return Ok(TransactionResponse::AddPartitions(verify(transaction, request)));
        }
        let is_there =
            transaction.state == State::Ongoing && transaction.contains(&request.partitions);
        if !is_there {
            let added = transaction.add(&request.partitions, request.client_version, cx.wall_ms);
            self.log(id, &added, cx, out);
        }
        Ok(TransactionResponse::AddPartitions(all(&request.partitions, ErrorCode::None)))
    }
}

/// Whether each partition is part of the transaction.
fn verify(transaction: &Transaction, request: &AddPartitions) -> Vec<(String, i32, ErrorCode)> {
    let is_part = |topic: &str, index: i32| {
        transaction.state == State::Ongoing
            && transaction.partitions.get(topic).is_some_and(|known| known.contains(&index))
    };
    let mut verified = all(&request.partitions, ErrorCode::None);
    for (topic, index, error) in &mut verified {
        if !is_part(topic, *index) {
            *error = ErrorCode::TransactionAbortable;
        }
    }
    verified
}

/// The same for every partition.
pub(super) fn all(partitions: &TopicPartitions, error: ErrorCode) -> Vec<(String, i32, ErrorCode)> {
    let one = |(topic, indexes): (&String, &std::collections::BTreeSet<i32>)| {
        indexes.iter().map(|index| (topic.clone(), *index, error)).collect::<Vec<_>>()
    };
    partitions.iter().flat_map(one).collect()
}
