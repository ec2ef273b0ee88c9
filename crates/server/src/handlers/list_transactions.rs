//! ListTransactions (key 66, v0–2, KIP-664): the transactional ids that this broker coordinates. v1
//! filters by how long a transaction runs (KIP-994), v2 by a pattern (KIP-1152).

use kalda_coordinator::{TransactionRequest, TransactionResponse, TransactionShard};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse,
};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for ListTransactionsRequest {
    async fn handle(self, cx: &RequestContext) -> ListTransactionsResponse {
        let mut response = ListTransactionsResponse {
            unknown_state_filters: TransactionShard::unknown_states(&self.state_filters),
            ..ListTransactionsResponse::default()
        };
        let request = TransactionRequest::List(self);
        let answers = cx.broker.transactions.ask_all(&cx.broker, &caller(cx), &request).await;
        for answer in answers {
            let listed = answer.and_then(|answer| match answer {
                TransactionResponse::List(listed) => listed,
                _ => unreachable!("a shard answers what it was asked"),
            });
            match listed {
                Ok(listed) => response.transaction_states.extend(listed),
                // Its ids are another broker's by now, which is asked too.
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => response.error_code = error.code(),
            }
        }
        if response.error_code != 0 {
            response.transaction_states.clear();
        }
        response
    }
}
