//! What the leader of a partition asks the coordinator of a transaction, wherever that is: whether the
//! partition is part of it, or to make it so (KIP-890). Asked by Produce and TxnOffsetCommit.

use std::collections::BTreeMap;
use std::sync::Arc;

use kalda_coordinator::{
    AddPartitions, Caller, TopicPartitions, TransactionRequest, TransactionResponse,
};
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};

use super::Written;
use super::markers::all;
use crate::broker::Broker;
use crate::coordinators::{Gathered, Gathering, remote};

/// One transaction's partitions, on their way to its coordinator.
#[derive(Debug)]
pub(super) struct Verification(AddPartitions);

/// Asks the coordinator of a transaction, and answers what it says of each partition.
pub(crate) async fn add_partitions(
    broker: &Arc<Broker>,
    caller: &Caller,
    add: AddPartitions,
) -> Written {
    let partitions = add.partitions.clone();
    let said = ask(broker, caller, add).await;
    said.unwrap_or_else(|error| all(&partitions, error))
}

async fn ask(
    broker: &Arc<Broker>,
    caller: &Caller,
    add: AddPartitions,
) -> Result<Written, ErrorCode> {
    let id = add.transactional_id.clone();
    let coordinator = broker.transactions.leader_of(broker, &id)?;
    if coordinator != broker.node {
        return Gathering::send(broker, coordinator, Verification(add)).answer().await;
    }
    let request = TransactionRequest::AddPartitions(add);
    match broker.transactions.ask(broker, &id, caller, request).await? {
        TransactionResponse::AddPartitions(added) => Ok(added),
        _ => unreachable!("a shard answers what it was asked"),
    }
}

impl Gathered for Verification {
    type Answer = Written;

    fn gathering(broker: &Broker) -> &Gathering<Self> {
        &broker.transactions.outbox.verifications
    }

    /// An answer names a transactional id, and not which of its questions it is about.
    fn excludes(&self, earlier: &Self) -> bool {
        self.0.transactional_id == earlier.0.transactional_id
    }

    async fn ask(
        broker: &Arc<Broker>,
        to: BrokerId,
        gathered: &[Self],
    ) -> Result<Vec<Written>, ErrorCode> {
        let response = remote::ask(broker, to, &request(gathered)).await?;
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => Ok(answers(gathered, &response)),
            error => Err(error.unwrap_or(ErrorCode::UnknownServerError)),
        }
    }
}

fn request(gathered: &[Verification]) -> AddPartitionsToTxnRequest {
    let transactions = gathered.iter().map(|Verification(add)| {
        let topics = add.partitions.iter().map(|(name, indexes)| AddPartitionsToTxnTopic {
            name: name.clone(),
            partitions: indexes.iter().copied().collect(),
        });
        AddPartitionsToTxnTransaction {
            transactional_id: add.transactional_id.clone(),
            producer_id: add.producer_id.0,
            producer_epoch: add.producer_epoch.0,
            verify_only: add.verify_only,
            topics: topics.collect(),
        }
    });
    AddPartitionsToTxnRequest {
        transactions: transactions.collect(),
        ..AddPartitionsToTxnRequest::default()
    }
}

/// What the answer says of each partition that was asked about. Of one that it does not name nothing
/// is known, and its batch has to come again.
fn answers(gathered: &[Verification], response: &AddPartitionsToTxnResponse) -> Vec<Written> {
    let by_id: BTreeMap<&str, &AddPartitionsToTxnResult> = response
        .results_by_transaction
        .iter()
        .map(|result| (result.transactional_id.as_str(), result))
        .collect();
    let answer = |Verification(add): &Verification| {
        let result = by_id.get(add.transactional_id.as_str());
        result.map_or_else(
            || all(&add.partitions, ErrorCode::NetworkException),
            |result| of_transaction(&add.partitions, result),
        )
    };
    gathered.iter().map(answer).collect()
}

fn of_transaction(partitions: &TopicPartitions, result: &AddPartitionsToTxnResult) -> Written {
    let mut said = BTreeMap::new();
    for topic in &result.topic_results {
        for partition in &topic.results_by_partition {
            let error = ErrorCode::from_code(partition.partition_error_code);
            let key = (topic.name.as_str(), partition.partition_index);
            said.insert(key, error.unwrap_or(ErrorCode::UnknownServerError));
        }
    }
    let mut written = all(partitions, ErrorCode::NetworkException);
    for (topic, index, error) in &mut written {
        *error = said.get(&(topic.as_str(), *index)).copied().unwrap_or(*error);
    }
    written
}
