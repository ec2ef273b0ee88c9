//! Transactions: list and describe them, and end those that nobody else will (KIP-664).

use std::collections::BTreeMap;

use kalda_model::{BrokerId, TopicPartition};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_producers::{DescribeProducersRequest, TopicRequest};
use kalda_protocol::messages::describe_transactions::DescribeTransactionsRequest;
use kalda_protocol::messages::init_producer_id::InitProducerIdRequest;
use kalda_protocol::messages::list_transactions::ListTransactionsRequest;
use kalda_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};

use super::Admin;
use super::partitions::ProducerState;
use super::topics::incomplete;
use crate::coordinator;
use crate::{Error, Result};

/// First version of ListTransactions that filters by how long they run, and by a pattern.
const DURATION_SINCE: i16 = 1;
const PATTERN_SINCE: i16 = 2;

/// Which transactions are to be listed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TransactionFilter {
    /// Only those of these producers; all if empty.
    pub producer_ids: Vec<i64>,
    /// Only those that have been running for longer than this, in milliseconds.
    pub running_longer_than_ms: Option<i64>,
    /// Only ids that match this regular expression.
    pub id_pattern: Option<String>,
}

/// A transactional id as a list shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionListing {
    /// The id.
    pub transactional_id: String,
    /// The broker that coordinates it.
    pub coordinator: BrokerId,
    /// Its producer.
    pub producer_id: i64,
    /// Its state by Kafka's name.
    pub state: String,
}

/// A transactional id in detail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionDescription {
    /// The broker that coordinates it.
    pub coordinator: BrokerId,
    /// Its producer.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// Its state by Kafka's name.
    pub state: String,
    /// How long a transaction may take.
    pub timeout_ms: i32,
    /// When the transaction began, in milliseconds since 1970; `None` without one.
    pub start_time_ms: Option<i64>,
    /// The partitions that are part of it, or have no marker yet.
    pub partitions: Vec<TopicPartition>,
}

/// A transaction of one partition that is to be aborted there, whatever its coordinator says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbortTransaction {
    /// Where.
    pub partition: TopicPartition,
    /// Its producer.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// The epoch of the coordinator that wrote the producer's last marker.
    pub coordinator_epoch: i32,
}

impl Admin {
    /// The transactional ids that all brokers coordinate.
    ///
    /// # Errors
    /// A broker does not answer in time, or does not know a filter.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Vec<TransactionListing>> {
        let request = ListTransactionsRequest {
            producer_id_filters: filter.producer_ids.clone(),
            duration_filter: filter.running_longer_than_ms.unwrap_or(-1),
            transactional_id_pattern: filter.id_pattern.clone(),
            ..ListTransactionsRequest::default()
        };
        let needed = match filter {
            TransactionFilter { id_pattern: Some(_), .. } => PATTERN_SINCE,
            TransactionFilter { running_longer_than_ms: Some(_), .. } => DURATION_SINCE,
            _ => 0,
        };
        let mut all = Vec::new();
        for node in self.nodes().await? {
            let listed = self.with_retries("listTransactions", async || {
                let connection = self.cluster.node(node.id).await?;
                let version = connection.version::<ListTransactionsRequest>(i16::MAX)?;
                if version < needed {
                    let text = "the broker is too old for this filter of transactions";
                    return Err(Error::InvalidArgument(text.to_owned()));
                }
                let response = connection.call(&request).await?;
                Error::check(response.error_code, None)?;
                Ok(response.transaction_states)
            });
            all.extend(listed.await?.into_iter().map(|listed| TransactionListing {
                transactional_id: listed.transactional_id,
                coordinator: node.id,
                producer_id: listed.producer_id,
                state: listed.transaction_state,
            }));
        }
        Ok(all)
    }

    /// One transactional id; `None` if nobody has it.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn describe_transaction(
        &self,
        transactional_id: &str,
    ) -> Result<Option<TransactionDescription>> {
        let request =
            DescribeTransactionsRequest { transactional_ids: vec![transactional_id.to_owned()] };
        self.with_retries("describeTransactions", async || {
            let (node, connection) =
                coordinator::reach_of_transactions(&self.cluster, transactional_id).await?;
            let response = connection.call(&request).await?;
            let state = response.transaction_states.into_iter().next().ok_or_else(incomplete)?;
            if state.error_code == ErrorCode::TransactionalIdNotFound.code() {
                return Ok(None);
            }
            Error::check(state.error_code, None)?;
            let partitions = state.topics.iter().flat_map(|topic| {
                let of = |index: &i32| TopicPartition::new(topic.topic.as_str(), *index);
                topic.partitions.iter().map(of)
            });
            Ok(Some(TransactionDescription {
                coordinator: node.id,
                producer_id: state.producer_id,
                producer_epoch: state.producer_epoch,
                partitions: partitions.collect(),
                state: state.transaction_state,
                timeout_ms: state.transaction_timeout_ms,
                start_time_ms: Some(state.transaction_start_time_ms).filter(|start| *start >= 0),
            }))
        })
        .await
    }

    /// The producers that a partition's replica on `broker` remembers, or else its leader.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn describe_producers(
        &self,
        partition: &TopicPartition,
        broker: Option<BrokerId>,
    ) -> Result<Vec<ProducerState>> {
        let request = DescribeProducersRequest {
            topics: vec![TopicRequest {
                name: partition.topic.to_string(),
                partition_indexes: vec![partition.partition],
            }],
        };
        self.with_retries("describeProducers", async || {
            let connection = match broker {
                Some(broker) => self.cluster.node(broker).await?,
                None => self.leader_of(partition).await?,
            };
            let response = connection.call(&request).await?;
            let topic = response.topics.into_iter().next().ok_or_else(incomplete)?;
            let result = topic.partitions.into_iter().next().ok_or_else(incomplete)?;
            Error::check(result.error_code, result.error_message)?;
            let states = result.active_producers.into_iter().map(|state| ProducerState {
                producer_id: state.producer_id,
                producer_epoch: state.producer_epoch,
                last_sequence: state.last_sequence,
                last_timestamp: state.last_timestamp,
                coordinator_epoch: state.coordinator_epoch,
                current_txn_start_offset: state.current_txn_start_offset,
            });
            Ok(states.collect())
        })
        .await
    }

    /// Aborts a transaction in one partition, past its coordinator.
    ///
    /// # Errors
    /// As the broker says: the producer or the coordinator has a newer epoch there.
    pub async fn abort_transaction(&self, abort: &AbortTransaction) -> Result<()> {
        let request = WriteTxnMarkersRequest {
            markers: vec![WritableTxnMarker {
                producer_id: abort.producer_id,
                producer_epoch: abort.producer_epoch,
                transaction_result: false,
                topics: vec![WritableTxnMarkerTopic {
                    name: abort.partition.topic.to_string(),
                    partition_indexes: vec![abort.partition.partition],
                }],
                coordinator_epoch: abort.coordinator_epoch,
                // The laxer rule: what hangs is to end.
                transaction_version: 0,
            }],
        };
        self.with_retries("abortTransaction", async || {
            let connection = self.leader_of(&abort.partition).await?;
            let response = connection.call(&request).await?;
            let marker = response.markers.into_iter().next().ok_or_else(incomplete)?;
            let topic = marker.topics.into_iter().next().ok_or_else(incomplete)?;
            let partition = topic.partitions.into_iter().next().ok_or_else(incomplete)?;
            Error::check(partition.error_code, None)
        })
        .await
    }

    /// Fences whoever has the transactional ids, and so aborts what they have open. Answers the
    /// producer and epoch that each id has now.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn fence_producers(
        &self,
        transactional_ids: &[String],
    ) -> Result<BTreeMap<String, (i64, i16)>> {
        let mut fenced = BTreeMap::new();
        for id in transactional_ids {
            let request = InitProducerIdRequest {
                transactional_id: Some(id.clone()),
                transaction_timeout_ms: self.server_timeout_ms(),
                ..InitProducerIdRequest::default()
            };
            let producer = self.with_retries("fenceProducer", async || {
                let (_, connection) = coordinator::reach_of_transactions(&self.cluster, id).await?;
                let response = connection.call(&request).await?;
                Error::check(response.error_code, None)?;
                Ok((response.producer_id, response.producer_epoch))
            });
            fenced.insert(id.clone(), producer.await?);
        }
        Ok(fenced)
    }
}
