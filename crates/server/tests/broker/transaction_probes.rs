//! The probes of `every_version` for transactions, and the steps of a transaction that other tests take.

use bytes::Bytes;
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::ApiKey;
use kalda_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use kalda_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kalda_protocol::messages::describe_transactions::DescribeTransactionsRequest;
use kalda_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use kalda_protocol::messages::find_coordinator::FindCoordinatorRequest;
use kalda_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use kalda_protocol::messages::list_transactions::ListTransactionsRequest;
use kalda_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kalda_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use kalda_records::{BatchBuilder, BatchOptions, Producer};

use crate::client::{Client, produce_request};
use crate::group_probes::Groups;

/// First version of AddPartitionsToTxn for brokers.
const MANY_TRANSACTIONS: i16 = 4;

/// A transactional producer as a test drives it.
#[derive(Clone, Debug)]
pub(crate) struct Transactional {
    pub(crate) transactional_id: String,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// Sends the request and answers the codes of its entries; `None` for other APIs.
pub(crate) fn probe(
    client: &mut Client,
    key: ApiKey,
    version: i16,
    on: &Groups<'_>,
) -> Option<Vec<i16>> {
    let is_ours = matches!(
        key,
        ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::EndTxn
            | ApiKey::WriteTxnMarkers
            | ApiKey::TxnOffsetCommit
            | ApiKey::DescribeTransactions
            | ApiKey::ListTransactions
    );
    if !is_ours {
        return None;
    }
    let mut producer = Transactional::init(client, on.group, 60_000);
    if !on.is_known {
        producer.epoch += 1;
    }
    Some(match key {
        ApiKey::AddPartitionsToTxn => producer.add(client, version, on.topic, on.partition),
        ApiKey::AddOffsetsToTxn => vec![producer.add_offsets(client, version, on.group)],
        ApiKey::EndTxn => {
            if on.is_known {
                assert_eq!(producer.add(client, 3, on.topic, on.partition), [0]);
            }
            vec![producer.end(client, version, true).error_code]
        }
        ApiKey::WriteTxnMarkers => producer.mark(client, version, on.topic, on.partition, false),
        ApiKey::TxnOffsetCommit => {
            if on.is_known {
                assert_eq!(producer.add_offsets(client, 3, on.group), 0);
            }
            vec![producer.commit_offset(client, version, on.group, on.topic, on.partition, 5)]
        }
        ApiKey::DescribeTransactions => {
            let id = if on.is_known { on.group } else { "nobody" }.to_owned();
            let request = DescribeTransactionsRequest { transactional_ids: vec![id] };
            vec![client.call(version, &request).transaction_states[0].error_code]
        }
        _ => {
            let mut request = ListTransactionsRequest {
                producer_id_filters: vec![producer.id],
                ..ListTransactionsRequest::default()
            };
            if version < 2 && !on.is_known {
                return Some(Vec::new());
            }
            if !on.is_known {
                request.transactional_id_pattern = Some("(".to_owned());
            }
            let listed = client.call(version, &request);
            assert_eq!(listed.transaction_states.len(), usize::from(on.is_known));
            vec![listed.error_code]
        }
    })
}

impl Transactional {
    /// Looks for the coordinator, as any producer, and takes the id over.
    pub(crate) fn init(client: &mut Client, transactional_id: &str, timeout_ms: i32) -> Self {
        let find = FindCoordinatorRequest {
            key: transactional_id.to_owned(),
            key_type: 1,
            ..FindCoordinatorRequest::default()
        };
        assert_eq!(client.call(3, &find).error_code, 0);
        let answer = Self::try_init(client, transactional_id, timeout_ms);
        assert_eq!(answer.error_code, 0);
        Self {
            transactional_id: transactional_id.to_owned(),
            id: answer.producer_id,
            epoch: answer.producer_epoch,
        }
    }

    pub(crate) fn try_init(
        client: &mut Client,
        transactional_id: &str,
        timeout_ms: i32,
    ) -> InitProducerIdResponse {
        let request = InitProducerIdRequest {
            transactional_id: Some(transactional_id.to_owned()),
            transaction_timeout_ms: timeout_ms,
            ..InitProducerIdRequest::default()
        };
        client.call(5, &request)
    }

    pub(crate) fn add(
        &self,
        client: &mut Client,
        version: i16,
        topic: &str,
        index: i32,
    ) -> Vec<i16> {
        let topics =
            vec![AddPartitionsToTxnTopic { name: topic.to_owned(), partitions: vec![index] }];
        let mut request = AddPartitionsToTxnRequest::default();
        if version < MANY_TRANSACTIONS {
            request.v3_and_below_transactional_id = self.transactional_id.clone();
            request.v3_and_below_producer_id = self.id;
            request.v3_and_below_producer_epoch = self.epoch;
            request.v3_and_below_topics = topics;
            let response = client.call(version, &request);
            let results = response.results_by_topic_v3_and_below.into_iter();
            return results
                .flat_map(|topic| topic.results_by_partition)
                .map(|result| result.partition_error_code)
                .collect();
        }
        request.transactions.push(AddPartitionsToTxnTransaction {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            verify_only: false,
            topics,
        });
        let response = client.call(version, &request);
        assert_eq!(response.error_code, 0);
        let results = response.results_by_transaction.into_iter();
        results
            .flat_map(|transaction| transaction.topic_results)
            .flat_map(|topic| topic.results_by_partition)
            .map(|result| result.partition_error_code)
            .collect()
    }

    pub(crate) fn add_offsets(&self, client: &mut Client, version: i16, group: &str) -> i16 {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: group.to_owned(),
        };
        client.call(version, &request).error_code
    }

    pub(crate) fn end(&self, client: &mut Client, version: i16, committed: bool) -> EndTxnResponse {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        client.call(version, &request)
    }

    /// Writes a marker past the coordinator, as an operator may.
    pub(crate) fn mark(
        &self,
        client: &mut Client,
        version: i16,
        topic: &str,
        index: i32,
        transaction_result: bool,
    ) -> Vec<i16> {
        let request = WriteTxnMarkersRequest {
            markers: vec![WritableTxnMarker {
                producer_id: self.id,
                producer_epoch: self.epoch,
                transaction_result,
                topics: vec![WritableTxnMarkerTopic {
                    name: topic.to_owned(),
                    partition_indexes: vec![index],
                }],
                coordinator_epoch: 0,
                transaction_version: 0,
            }],
        };
        let response = client.call(version, &request);
        let topics = response.markers.into_iter().flat_map(|marker| marker.topics);
        topics.flat_map(|topic| topic.partitions).map(|marked| marked.error_code).collect()
    }

    pub(crate) fn commit_offset(
        &self,
        client: &mut Client,
        version: i16,
        group: &str,
        topic: &str,
        partition_index: i32,
        committed_offset: i64,
    ) -> i16 {
        let request = TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.clone(),
            group_id: group.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: topic.to_owned(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index,
                    committed_offset,
                    ..TxnOffsetCommitRequestPartition::default()
                }],
            }],
            ..TxnOffsetCommitRequest::default()
        };
        client.call(version, &request).topics[0].partitions[0].error_code
    }

    /// A batch of one record in the transaction.
    pub(crate) fn batch(&self, sequence: i32, value: &str) -> Bytes {
        let producer = Producer {
            id: ProducerId(self.id),
            epoch: ProducerEpoch(self.epoch),
            base_sequence: sequence,
        };
        let options = BatchOptions { producer, is_transactional: true, ..BatchOptions::default() };
        let mut batch = BatchBuilder::new(options);
        batch.append(1, None, Some(value.as_bytes()), &[]);
        batch.build().unwrap()
    }

    /// Produces one record and answers code and offset.
    pub(crate) fn produce(
        &self,
        client: &mut Client,
        version: i16,
        topic: &str,
        sequence: i32,
        value: &str,
    ) -> (i16, i64) {
        let mut request = produce_request(topic, 0, -1, self.batch(sequence, value));
        request.transactional_id = Some(self.transactional_id.clone());
        let produced =
            client.call(version, &request).responses.remove(0).partition_responses.remove(0);
        (produced.error_code, produced.base_offset)
    }
}
