//! WriteTxnMarkers (key 27, v1): a transaction's end for partitions that this broker leads. Sent by
//! coordinators, and by operators to end a transaction that nobody else will (KIP-664).

use std::collections::BTreeMap;

use kalda_coordinator::TopicPartitions;
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use kalda_records::EndTxnMarker;

use crate::dispatch::{Handle, RequestContext};
use crate::transactions::{Marker, write_markers};

impl Handle for WriteTxnMarkersRequest {
    async fn handle(self, cx: &RequestContext) -> WriteTxnMarkersResponse {
        let mut response = WriteTxnMarkersResponse::default();
        for marker in self.markers {
            response.markers.push(one(marker, cx).await);
        }
        response
    }
}

async fn one(request: WritableTxnMarker, cx: &RequestContext) -> WritableTxnMarkerResult {
    let marker = Marker {
        producer_id: ProducerId(request.producer_id),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        end: EndTxnMarker {
            committed: request.transaction_result,
            coordinator_epoch: request.coordinator_epoch,
        },
        // This version does not say; the laxer rule lets an operator end what hangs.
        transaction_version: 0,
    };
    let mut partitions = TopicPartitions::new();
    for topic in request.topics {
        partitions.entry(topic.name).or_default().extend(topic.partition_indexes);
    }
    let mut topics: BTreeMap<String, Vec<WritableTxnMarkerPartitionResult>> = BTreeMap::new();
    for (topic, partition_index, error) in write_markers(&cx.broker, &marker, &partitions).await {
        topics
            .entry(topic)
            .or_default()
            .push(WritableTxnMarkerPartitionResult { partition_index, error_code: error.code() });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| WritableTxnMarkerTopicResult { name, partitions });
    WritableTxnMarkerResult { producer_id: request.producer_id, topics: topics.collect() }
}
