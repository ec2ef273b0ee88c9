//! DescribeTransactions (key 65, v0, KIP-664): where the transactions of some ids stand.

use kalda_coordinator::{TransactionRequest, TransactionResponse};
use kalda_protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionState,
};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for DescribeTransactionsRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeTransactionsResponse {
        let mut response = DescribeTransactionsResponse::default();
        for id in self.transactional_ids {
            let request = TransactionRequest::Describe(id.clone());
            let answer = cx.broker.transactions.ask(&cx.broker, &id, &caller(cx), request).await;
            response.transaction_states.push(match answer {
                Ok(TransactionResponse::Describe(described)) => described,
                Ok(_) => unreachable!("a shard answers what it was asked"),
                Err(error) => TransactionState {
                    error_code: error.code(),
                    transactional_id: id,
                    ..TransactionState::default()
                },
            });
        }
        response
    }
}
