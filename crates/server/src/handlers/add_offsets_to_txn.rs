//! AddOffsetsToTxn (key 25, v0–4): the partition of a group's offsets becomes part of a transaction.
//! v2 adds PRODUCER_FENCED.

use kalda_coordinator::{AddPartitions, TopicPartitions, TransactionRequest, TransactionResponse};
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::messages::add_offsets_to_txn::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse,
};
use kalda_protocol::{ApiKey, ErrorCode, downgrade_error};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};
use crate::groups::OFFSETS_TOPIC;

impl Handle for AddOffsetsToTxnRequest {
    async fn handle(self, cx: &RequestContext) -> AddOffsetsToTxnResponse {
        let error = add(self, cx).await.err().unwrap_or(ErrorCode::None);
        let error = downgrade_error(ApiKey::AddOffsetsToTxn, cx.version, error);
        AddOffsetsToTxnResponse { error_code: error.code(), ..AddOffsetsToTxnResponse::default() }
    }
}

async fn add(request: AddOffsetsToTxnRequest, cx: &RequestContext) -> Result<(), ErrorCode> {
    // The group may be new: its topic is made as for a member that looks for its coordinator.
    cx.broker.groups.coordinator_of(&cx.broker, &request.group_id).await?;
    let index = cx.broker.groups.index_of(&cx.broker, &request.group_id)?;
    let id = request.transactional_id;
    let add = AddPartitions {
        transactional_id: id.clone(),
        producer_id: ProducerId(request.producer_id),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        partitions: TopicPartitions::from([(OFFSETS_TOPIC.to_owned(), [index].into())]),
        verify_only: false,
        client_version: 0,
    };
    let request = TransactionRequest::AddPartitions(add);
    match cx.broker.transactions.ask(&cx.broker, &id, &caller(cx), request).await? {
        TransactionResponse::AddPartitions(added) => {
            let failed = added.into_iter().find(|(_, _, error)| *error != ErrorCode::None);
            failed.map_or(Ok(()), |(_, _, error)| Err(error))
        }
        _ => unreachable!("a shard answers what it was asked"),
    }
}
