//! TxnOffsetCommit (key 28, v0–5): how far a group has read, to hold once the producer's transaction
//! commits. v3 names the member, so that the group can fence it (KIP-447), v4 adds
//! TRANSACTION_ABORTABLE; with v5 the group's offsets become part of the transaction by this (KIP-890).

use kalda_coordinator::{GroupRequest, GroupResponse, TopicPartitions};
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use kalda_protocol::{ApiKey, ErrorCode, downgrade_error};

use super::group_caller::caller;
use super::verify_transaction::{ClientTransactions, TransactionalProducer, verify};
use crate::dispatch::{Handle, RequestContext};
use crate::groups::OFFSETS_TOPIC;
use crate::hosted::VerificationGuard;

/// First versions that know TRANSACTION_ABORTABLE, and that add the group's partition.
const ABORTABLE: i16 = 4;
const IMPLICIT: i16 = 5;

impl Handle for TxnOffsetCommitRequest {
    async fn handle(self, cx: &RequestContext) -> TxnOffsetCommitResponse {
        let mut response = match commit(&self, cx).await {
            Ok(response) => response,
            Err(error) => refusal(self, error),
        };
        let topics = response.topics.iter_mut();
        for partition in topics.flat_map(|topic| &mut topic.partitions) {
            if let Some(error) = ErrorCode::from_code(partition.error_code) {
                let error = downgrade_error(ApiKey::TxnOffsetCommit, cx.version, error);
                partition.error_code = error.code();
            }
        }
        response
    }
}

async fn commit(
    request: &TxnOffsetCommitRequest,
    cx: &RequestContext,
) -> Result<TxnOffsetCommitResponse, ErrorCode> {
    let groups = &cx.broker.groups;
    let group = request.group_id.clone();
    let guard = guard(request, cx).await?;
    let asked = GroupRequest::TxnOffsetCommit(request.clone());
    let answer = groups.ask_in_transaction(&cx.broker, &group, &caller(cx), asked, guard).await;
    match answer? {
        GroupResponse::TxnOffsetCommit(response) => Ok(response),
        _ => unreachable!("a shard answers what it was asked"),
    }
}

/// Has the coordinator of the transaction agree, unless it has before.
async fn guard(
    request: &TxnOffsetCommitRequest,
    cx: &RequestContext,
) -> Result<Option<VerificationGuard>, ErrorCode> {
    let group = &request.group_id;
    let partition = cx.broker.groups.partition_for(&cx.broker, group)?;
    let producer = TransactionalProducer {
        transactional_id: request.transactional_id.clone(),
        id: ProducerId(request.producer_id),
        epoch: ProducerEpoch(request.producer_epoch),
    };
    let client = match cx.version {
        IMPLICIT.. => ClientTransactions::Implicit,
        ABORTABLE.. => ClientTransactions::NamedAbortable,
        _ => ClientTransactions::Named,
    };
    let bumps_epoch = client == ClientTransactions::Implicit;
    let guard = partition.begin_verification(producer.id, producer.epoch, bumps_epoch)?;
    if guard.is_none() {
        return Ok(None);
    }
    let partitions = TopicPartitions::from([(OFFSETS_TOPIC.to_owned(), [partition.index].into())]);
    let refused = verify(cx, &producer, partitions, client).await;
    match refused.first() {
        None => Ok(guard),
        Some((_, _, error)) => {
            partition.end_verification(producer.id);
            Err(match (*error, client) {
                (ErrorCode::ConcurrentTransactions, ClientTransactions::Implicit) => *error,
                // Older clients take it for final.
                (ErrorCode::ConcurrentTransactions, _) => ErrorCode::CoordinatorLoadInProgress,
                // The group's coordinator is the right one: it is not to be looked for again.
                (ErrorCode::NetworkException, _) => ErrorCode::CoordinatorLoadInProgress,
                (ErrorCode::NotCoordinator, _) => ErrorCode::CoordinatorNotAvailable,
                (error, _) => error,
            })
        }
    }
}

fn refusal(request: TxnOffsetCommitRequest, error: ErrorCode) -> TxnOffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| TxnOffsetCommitResponseTopic {
        partitions: topic
            .partitions
            .iter()
            .map(|partition| TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.code(),
            })
            .collect(),
        name: topic.name,
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..TxnOffsetCommitResponse::default() }
}
