//! InitProducerId (key 22, v0–5): an id for an idempotent producer, or a transactional id that a
//! producer takes over, whereby whoever had it is fenced. v3 lets a producer bump its own epoch
//! (KIP-360), v4 adds PRODUCER_FENCED.

use kalda_coordinator::{TransactionRequest, TransactionResponse};
use kalda_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use kalda_protocol::{ApiKey, ErrorCode, downgrade_error};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for InitProducerIdRequest {
    async fn handle(self, cx: &RequestContext) -> InitProducerIdResponse {
        let answered = match self.transactional_id.clone() {
            None => idempotent(cx).await,
            Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
            Some(id) => transactional(self, &id, cx).await,
        };
        let mut response = answered.unwrap_or_else(|error| InitProducerIdResponse {
            error_code: error.code(),
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        });
        if let Some(error) = ErrorCode::from_code(response.error_code) {
            response.error_code = downgrade_error(ApiKey::InitProducerId, cx.version, error).code();
        }
        response
    }
}

/// Without a transactional id there is nothing to fence: a producer that lost its sequence simply
/// gets a new id, as in Kafka.
async fn idempotent(cx: &RequestContext) -> Result<InitProducerIdResponse, ErrorCode> {
    let id = cx.broker.producer_ids.next(&cx.broker).await?;
    Ok(InitProducerIdResponse {
        producer_id: id.0,
        producer_epoch: 0,
        ..InitProducerIdResponse::default()
    })
}

async fn transactional(
    request: InitProducerIdRequest,
    id: &str,
    cx: &RequestContext,
) -> Result<InitProducerIdResponse, ErrorCode> {
    let ask = async |spare| {
        let request = TransactionRequest::InitProducerId { request: request.clone(), spare };
        cx.broker.transactions.ask(&cx.broker, id, &caller(cx), request).await
    };
    let mut answer = ask(None).await?;
    if answer == TransactionResponse::NeedsProducerId {
        let spare = cx.broker.producer_ids.next(&cx.broker).await;
        answer = ask(Some(spare?)).await?;
    }
    match answer {
        TransactionResponse::InitProducerId(response) => Ok(response),
        _ => unreachable!("a shard answers what it was asked"),
    }
}
