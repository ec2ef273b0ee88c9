//! DescribeTransactions and ListTransactions.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_transactions::{TopicData, TransactionState};
use kalda_protocol::messages::list_transactions::{
    ListTransactionsRequest, TransactionState as ListedTransaction,
};
use regex::Regex;

use super::TransactionShard;
use super::state::{State, Transaction};

impl TransactionShard {
    pub(super) fn describe(&self, id: &str) -> TransactionState {
        if id.is_empty() {
            return refused(id, ErrorCode::InvalidRequest);
        }
        let Some(transaction) = self.ids.get(id) else {
            return refused(id, ErrorCode::TransactionalIdNotFound);
        };
        let topics = transaction.partitions.iter().map(|(topic, indexes)| TopicData {
            topic: topic.clone(),
            partitions: indexes.iter().copied().collect(),
        });
        TransactionState {
            error_code: ErrorCode::None.code(),
            transactional_id: id.to_owned(),
            transaction_state: transaction.state.name().to_owned(),
            transaction_timeout_ms: transaction.timeout_ms,
            transaction_start_time_ms: transaction.start_ms,
            producer_id: transaction.producer_id.0,
            producer_epoch: transaction.epoch.0,
            topics: topics.collect(),
        }
    }

    pub(super) fn list(
        &self,
        filters: &ListTransactionsRequest,
        wall_ms: i64,
    ) -> Result<Vec<ListedTransaction>, ErrorCode> {
        let pattern = filters.transactional_id_pattern.as_deref().filter(|text| !text.is_empty());
        // The whole id has to match, as in Kafka.
        let pattern = pattern
            .map(|pattern| Regex::new(&format!("^(?:{pattern})$")))
            .transpose()
            .map_err(|_| ErrorCode::InvalidRegularExpression)?;
        let passes = |(id, transaction): &(&String, &Transaction)| {
            let states = &filters.state_filters;
            let producers = &filters.producer_id_filters;
            let running_ms = wall_ms.saturating_sub(transaction.start_ms);
            (states.is_empty() || states.iter().any(|state| state == transaction.state.name()))
                && (producers.is_empty() || producers.contains(&transaction.producer_id.0))
                && (filters.duration_filter < 0
                    || transaction.state == State::Ongoing && running_ms > filters.duration_filter)
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
        };
        let listed = self.ids.iter().filter(passes).map(|(id, transaction)| ListedTransaction {
            transactional_id: id.clone(),
            producer_id: transaction.producer_id.0,
            transaction_state: transaction.state.name().to_owned(),
        });
        Ok(listed.collect())
    }

    /// Which of the states in a filter do not exist.
    #[must_use]
    pub fn unknown_states(filters: &[String]) -> Vec<String> {
        let is_known =
            |name: &&String| State::ALL.iter().any(|state| state.name() == name.as_str());
        filters.iter().filter(|name| !is_known(name)).cloned().collect()
    }
}

pub(super) fn refused(id: &str, error: ErrorCode) -> TransactionState {
    TransactionState {
        error_code: error.code(),
        transactional_id: id.to_owned(),
        ..TransactionState::default()
    }
}
