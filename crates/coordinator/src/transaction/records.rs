//! The records of `__transaction_state`, written and read.

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::DecodeError;
use kalda_protocol::stored::decode_versioned;
use kalda_protocol::stored::transaction::transaction_log::PartitionsSchema;
use kalda_protocol::stored::transaction::{TransactionKey, TransactionLogKey, TransactionLogValue};

use super::state::{State, Transaction};
use crate::decision::CoordinatorRecord;
use crate::records::{ReplayError, encode_value, record};

/// What a record says.
pub(super) enum Replayed {
    /// `None`: the id is forgotten.
    Id(String, Option<Transaction>),
    /// Of a type that this coordinator does without.
    Skipped,
}

/// The record of a transactional id. From `transaction.version` 1 on the newer layout is written,
/// which alone has room for the ids before and after this one (KIP-915).
pub(super) fn encode(
    id: &str,
    transaction: &Transaction,
    server_version: i16,
) -> CoordinatorRecord {
    let is_open = transaction.state != State::Empty;
    let partitions = transaction.partitions.iter().map(|(topic, indexes)| PartitionsSchema {
        topic: topic.clone(),
        partition_ids: indexes.iter().copied().collect(),
    });
    let mut value = TransactionLogValue {
        producer_id: transaction.producer_id.0,
        producer_epoch: transaction.epoch.0,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state as i8,
        transaction_partitions: is_open.then(|| partitions.collect()),
        transaction_last_update_timestamp_ms: transaction.last_update_ms,
        transaction_start_timestamp_ms: transaction.start_ms,
        ..TransactionLogValue::default()
    };
    let layout = i16::from(server_version >= 1);
    if layout >= 1 {
        value.previous_producer_id = transaction.previous_producer_id.0;
        value.next_producer_id = transaction.next_producer_id.0;
        value.client_transaction_version = transaction.version;
    }
    record(&key(id), Some(encode_value(&value, layout)))
}

pub(super) fn tombstone(id: &str) -> CoordinatorRecord {
    record(&key(id), None)
}

fn key(id: &str) -> TransactionLogKey {
    TransactionLogKey { transactional_id: id.to_owned() }
}

pub(super) fn decode(record: &CoordinatorRecord) -> Result<Replayed, ReplayError> {
    let id = match TransactionKey::decode(record.key.clone()) {
        Ok(TransactionKey::TransactionLog(key)) => key.transactional_id,
        Err(DecodeError::UnknownRecordType { .. }) => return Ok(Replayed::Skipped),
        Err(error) => return Err(ReplayError::Key(error)),
    };
    let Some(value) = record.value.clone() else { return Ok(Replayed::Id(id, None)) };
    let value: TransactionLogValue = match decode_versioned(value) {
        Ok(value) => value,
        Err(error) => return Err(ReplayError::Transaction { id, error }),
    };
    let Some(state) = State::from_id(value.transaction_status) else {
        return Err(ReplayError::TransactionState { id, state: value.transaction_status });
    };
    let partitions = value.transaction_partitions.unwrap_or_default().into_iter();
    let transaction = Transaction {
        producer_id: ProducerId(value.producer_id),
        previous_producer_id: ProducerId(value.previous_producer_id),
        next_producer_id: ProducerId(value.next_producer_id),
        epoch: ProducerEpoch(value.producer_epoch),
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions: partitions
            .map(|entry| (entry.topic, entry.partition_ids.into_iter().collect()))
            .collect(),
        start_ms: value.transaction_start_timestamp_ms,
        last_update_ms: value.transaction_last_update_timestamp_ms,
        version: value.client_transaction_version,
    };
    Ok(Replayed::Id(id, Some(transaction)))
}
