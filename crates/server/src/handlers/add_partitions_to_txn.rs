//! AddPartitionsToTxn (key 24, v0–5): partitions become part of a transaction. v2 adds
//! PRODUCER_FENCED; v4 and later are for brokers, which name several transactions at once and may only
//! ask whether the partitions are part of them (KIP-890).

use std::collections::BTreeMap;

use kalda_coordinator::{AddPartitions, TopicPartitions, TransactionRequest, TransactionResponse};
use kalda_metadata::Image;
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
};
use kalda_protocol::{ApiKey, ErrorCode, downgrade_error};
use tokio::task::JoinSet;

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

/// First version with several transactions.
const MANY_TRANSACTIONS: i16 = 4;
/// First version by which a partition is added for a producer that did not ask for it itself.
const ADDED_BY_BROKER: i16 = 5;

/// The most transactions of one request that wait for the disk at the same time.
const AT_ONCE_MAX: usize = 500;

impl Handle for AddPartitionsToTxnRequest {
    async fn handle(self, cx: &RequestContext) -> AddPartitionsToTxnResponse {
        let mut response = AddPartitionsToTxnResponse::default();
        if cx.version < MANY_TRANSACTIONS {
            let add = AddPartitions {
                transactional_id: self.v3_and_below_transactional_id,
                producer_id: ProducerId(self.v3_and_below_producer_id),
                producer_epoch: ProducerEpoch(self.v3_and_below_producer_epoch),
                partitions: partitions(self.v3_and_below_topics),
                verify_only: false,
                client_version: 0,
            };
            response.results_by_topic_v3_and_below = one(add, cx).await;
            return response;
        }
        let client_version = if cx.version >= ADDED_BY_BROKER { 2 } else { 0 };
        let (mut asking, mut results) = (JoinSet::new(), Vec::new());
        for (at, transaction) in self.transactions.into_iter().enumerate() {
            let add = AddPartitions {
                transactional_id: transaction.transactional_id.clone(),
                producer_id: ProducerId(transaction.producer_id),
                producer_epoch: ProducerEpoch(transaction.producer_epoch),
                partitions: partitions(transaction.topics),
                verify_only: transaction.verify_only,
                client_version,
            };
            if asking.len() >= AT_ONCE_MAX {
                results.extend(asking.join_next().await.and_then(Result::ok));
            }
            let cx = cx.clone();
            // At once: each of them may wait for the disk.
            asking.spawn_local(async move {
                let result = AddPartitionsToTxnResult {
                    transactional_id: transaction.transactional_id,
                    topic_results: one(add, &cx).await,
                };
                (at, result)
            });
        }
        results.extend(asking.join_all().await);
        results.sort_unstable_by_key(|(at, _)| *at);
        response.results_by_transaction = results.into_iter().map(|(_, result)| result).collect();
        response
    }
}

async fn one(add: AddPartitions, cx: &RequestContext) -> Vec<AddPartitionsToTxnTopicResult> {
    let partitions = add.partitions.clone();
    let missing = missing(&cx.broker.image(), &partitions);
    let outcome = if missing.is_empty() {
        let id = add.transactional_id.clone();
        let request = TransactionRequest::AddPartitions(add);
        match cx.broker.transactions.ask(&cx.broker, &id, &caller(cx), request).await {
            Ok(TransactionResponse::AddPartitions(added)) => added,
            Ok(_) => unreachable!("a shard answers what it was asked"),
            Err(error) => with_error(&partitions, |_, _| error),
        }
    } else {
        // All or nothing: which of them are wrong is said of those alone.
        with_error(&partitions, |topic, index| {
            let is_missing = missing.get(topic).is_some_and(|indexes| indexes.contains(&index));
            if is_missing {
                ErrorCode::UnknownTopicOrPartition
            } else {
                ErrorCode::OperationNotAttempted
            }
        })
    };
    let mut topics: BTreeMap<String, Vec<AddPartitionsToTxnPartitionResult>> = BTreeMap::new();
    for (topic, partition_index, error) in outcome {
        let error = downgrade_error(ApiKey::AddPartitionsToTxn, cx.version, error);
        topics.entry(topic).or_default().push(AddPartitionsToTxnPartitionResult {
            partition_index,
            partition_error_code: error.code(),
        });
    }
    let topics = topics.into_iter();
    topics
        .map(|(name, results_by_partition)| AddPartitionsToTxnTopicResult {
            name,
            results_by_partition,
        })
        .collect()
}

fn partitions(topics: Vec<AddPartitionsToTxnTopic>) -> TopicPartitions {
    let mut partitions = TopicPartitions::new();
    for topic in topics {
        partitions.entry(topic.name).or_default().extend(topic.partitions);
    }
    partitions
}

fn missing(image: &Image, partitions: &TopicPartitions) -> TopicPartitions {
    let mut missing = TopicPartitions::new();
    for (topic, indexes) in partitions {
        let known = image.topics.by_name(topic);
        let is_there =
            |index: &i32| known.is_some_and(|known| known.partitions.contains_key(index));
        let gone: std::collections::BTreeSet<i32> =
            indexes.iter().copied().filter(|index| !is_there(index)).collect();
        if !gone.is_empty() {
            missing.insert(topic.clone(), gone);
        }
    }
    missing
}

fn with_error(
    partitions: &TopicPartitions,
    error: impl Fn(&str, i32) -> ErrorCode,
) -> Vec<(String, i32, ErrorCode)> {
    let mut outcome = Vec::new();
    for (topic, indexes) in partitions {
        outcome.extend(indexes.iter().map(|index| (topic.clone(), *index, error(topic, *index))));
    }
    outcome
}
