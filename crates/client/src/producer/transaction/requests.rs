//! What a transactional producer asks of coordinators: one attempt each, in the version that the
//! protocol of the transaction allows.
//!
//! Called by [`Coordinator`](super::coordinator::Coordinator), which decides what to try again.

use std::collections::BTreeMap;

use kalda_model::{ProducerEpoch, ProducerId, TopicPartition};
use kalda_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use kalda_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use kalda_protocol::messages::end_txn::EndTxnRequest;
use kalda_protocol::messages::init_producer_id::InitProducerIdRequest;
use kalda_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kalda_protocol::{ErrorCode, Request};

use super::state::{Outcome, Protocol};
use crate::ConsumerGroupMetadata;
use crate::connection::Connection;
use crate::group_offsets::{CommittedOffsets, group_by_topic};
use crate::producer::batch::Identity;
use crate::{Error, Result};

/// From this version of InitProducerId on a producer can ask for the epoch after its own (KIP-360).
const NEXT_EPOCH_SINCE: i16 = 3;

/// The newest version of a request that `protocol` may use.
fn version_max<R: Request>(protocol: Protocol) -> i16 {
    use kalda_protocol::ApiKey;
    match (R::KEY, protocol) {
        // From 4 on it is spoken between brokers.
        (ApiKey::AddPartitionsToTxn, _) => 3,
        (ApiKey::EndTxn | ApiKey::TxnOffsetCommit, Protocol::Named) => 4,
        _ => i16::MAX,
    }
}

async fn call<R: Request>(
    connection: &Connection,
    request: &R,
    protocol: Protocol,
) -> Result<R::Response> {
    let version = connection.version::<R>(version_max::<R>(protocol))?;
    connection.start(request, version)?.answer(connection).await
}

/// Asks for an identity: the first one, or the one after `current`.
pub(super) async fn init(
    connection: &Connection,
    transactional_id: &str,
    timeout_ms: i32,
    current: Option<Identity>,
) -> Result<Identity> {
    let version = connection.version::<InitProducerIdRequest>(i16::MAX)?;
    if current.is_some() && version < NEXT_EPOCH_SINCE {
        return Err(ErrorCode::UnsupportedVersion.into());
    }
    let mut request = InitProducerIdRequest {
        transactional_id: Some(transactional_id.to_owned()),
        transaction_timeout_ms: timeout_ms,
        ..Default::default()
    };
    if let Some(Identity { id, epoch }) = current {
        (request.producer_id, request.producer_epoch) = (id.0, epoch.0);
    }
    let response = connection.start(&request, version)?.answer(connection).await?;
    Error::check(response.error_code, None)?;
    let (id, epoch) = (ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch));
    Ok(Identity { id, epoch })
}

/// Tells the coordinator of partitions. What is refused is refused as a whole.
pub(super) async fn add_partitions(
    connection: &Connection,
    transactional_id: &str,
    identity: Identity,
    partitions: &[TopicPartition],
) -> Result<()> {
    let topic = |(name, partitions)| AddPartitionsToTxnTopic { name, partitions };
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: transactional_id.to_owned(),
        v3_and_below_producer_id: identity.id.0,
        v3_and_below_producer_epoch: identity.epoch.0,
        v3_and_below_topics: group_by_topic(partitions).into_iter().map(topic).collect(),
        ..Default::default()
    };
    let response = call(connection, &request, Protocol::Named).await?;
    let topics = response.results_by_topic_v3_and_below.iter();
    let codes = topics.flat_map(|topic| &topic.results_by_partition);
    let errors = codes.filter_map(|code| Error::from_code(code.partition_error_code, None));
    // The one that is to blame is told, not those that were not tried because of it.
    let blames = |error: &Error| error.code() != Some(ErrorCode::OperationNotAttempted);
    errors.max_by_key(blames).map_or(Ok(()), Err)
}

/// Tells the coordinator of a group whose offsets will follow.
pub(super) async fn add_offsets(
    connection: &Connection,
    transactional_id: &str,
    identity: Identity,
    group: &str,
) -> Result<()> {
    let request = AddOffsetsToTxnRequest {
        transactional_id: transactional_id.to_owned(),
        producer_id: identity.id.0,
        producer_epoch: identity.epoch.0,
        group_id: group.to_owned(),
    };
    let response = call(connection, &request, Protocol::Named).await?;
    Error::check(response.error_code, None)
}

/// Leaves offsets with the coordinator of a group, for when the transaction commits.
pub(super) async fn commit_offsets(
    connection: &Connection,
    transactional_id: &str,
    (identity, protocol): (Identity, Protocol),
    group: &ConsumerGroupMetadata,
    offsets: &CommittedOffsets,
) -> Result<()> {
    let mut topics: BTreeMap<&str, Vec<TxnOffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, committed) in offsets {
        topics.entry(&partition.topic).or_default().push(TxnOffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch.unwrap_or(-1),
            committed_metadata: Some(committed.metadata.clone()),
        });
    }
    let topic = |(name, partitions): (&str, _)| TxnOffsetCommitRequestTopic {
        name: name.to_owned(),
        partitions,
    };
    let request = TxnOffsetCommitRequest {
        transactional_id: transactional_id.to_owned(),
        group_id: group.group_id.clone(),
        producer_id: identity.id.0,
        producer_epoch: identity.epoch.0,
        generation_id: group.generation_id,
        member_id: group.member_id.clone(),
        group_instance_id: group.group_instance_id.clone(),
        topics: topics.into_iter().map(topic).collect(),
    };
    let response = call(connection, &request, protocol).await?;
    let mut codes = response.topics.iter().flat_map(|topic| &topic.partitions);
    codes.try_for_each(|partition| Error::check(partition.error_code, None))
}

/// Ends the transaction. Returns the identity of the next one, if the coordinator gives one out.
pub(super) async fn end(
    connection: &Connection,
    transactional_id: &str,
    (identity, protocol): (Identity, Protocol),
    outcome: Outcome,
) -> Result<Option<Identity>> {
    let request = EndTxnRequest {
        transactional_id: transactional_id.to_owned(),
        producer_id: identity.id.0,
        producer_epoch: identity.epoch.0,
        committed: outcome == Outcome::Commit,
    };
    let response = call(connection, &request, protocol).await?;
    Error::check(response.error_code, None)?;
    let (id, epoch) = (ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch));
    Ok((id.0 >= 0).then_some(Identity { id, epoch }))
}
