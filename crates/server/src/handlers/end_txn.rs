//! EndTxn (key 26, v0–5): commit or abort. v2 adds PRODUCER_FENCED, v4 TRANSACTION_ABORTABLE; v5 is
//! for producers with a new epoch for every transaction (KIP-890), who hear of it in the answer.

use kalda_coordinator::{TransactionRequest, TransactionResponse};
use kalda_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use kalda_protocol::{ApiKey, ErrorCode, downgrade_error};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

/// First version of producers with a new epoch for every transaction.
const BUMPS_EPOCH: i16 = 5;

impl Handle for EndTxnRequest {
    async fn handle(self, cx: &RequestContext) -> EndTxnResponse {
        let mut response = end(self, cx).await.unwrap_or_else(|error| EndTxnResponse {
            error_code: error.code(),
            ..EndTxnResponse::default()
        });
        if let Some(error) = ErrorCode::from_code(response.error_code) {
            response.error_code = downgrade_error(ApiKey::EndTxn, cx.version, error).code();
        }
        response
    }
}

async fn end(request: EndTxnRequest, cx: &RequestContext) -> Result<EndTxnResponse, ErrorCode> {
    let client_version = if cx.version >= BUMPS_EPOCH { 2 } else { 0 };
    let ask = async |spare| {
        let asked = TransactionRequest::EndTxn { request: request.clone(), spare, client_version };
        let id = &request.transactional_id;
        cx.broker.transactions.ask(&cx.broker, id, &caller(cx), asked).await
    };
    let mut answer = ask(None).await?;
    if answer == TransactionResponse::NeedsProducerId {
        let spare = cx.broker.producer_ids.next(&cx.broker).await;
        answer = ask(Some(spare.map_err(|_| ErrorCode::CoordinatorLoadInProgress)?)).await?;
    }
    match answer {
        TransactionResponse::EndTxn(response) => Ok(response),
        _ => unreachable!("a shard answers what it was asked"),
    }
}
