//! WriteTxnMarkers (key 27, v1–2): the ends of transactions for partitions that this broker leads. Sent
//! by coordinators, and by operators to end a transaction that nobody else will (KIP-664). v2 says
//! whether a marker has an epoch of its own (KIP-1228).

use std::collections::BTreeMap;

use kalda_coordinator::TopicPartitions;
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use kalda_records::EndTxnMarker;

use crate::dispatch::{Handle, RequestContext};
use crate::transactions::{Marker, MarkersToWrite, Written, write_markers};

impl Handle for WriteTxnMarkersRequest {
    async fn handle(self, cx: &RequestContext) -> WriteTxnMarkersResponse {
        let markers: Vec<MarkersToWrite> = self.markers.into_iter().map(marker).collect();
        let written = write_markers(&cx.broker, &markers).await;
        let results = markers
            .iter()
            .zip(written)
            .map(|(to_write, written)| result(to_write.marker.producer_id, written));
        WriteTxnMarkersResponse { markers: results.collect() }
    }
}

fn marker(request: WritableTxnMarker) -> MarkersToWrite {
    let marker = Marker {
        producer_id: ProducerId(request.producer_id),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        end: EndTxnMarker {
            committed: request.transaction_result,
            coordinator_epoch: request.coordinator_epoch,
        },
        // v1 does not say; the laxer rule lets an operator end what hangs.
        transaction_version: i16::from(request.transaction_version),
    };
    let mut partitions = TopicPartitions::new();
    for topic in request.topics {
        partitions.entry(topic.name).or_default().extend(topic.partition_indexes);
    }
    MarkersToWrite { marker, partitions }
}

fn result(producer_id: ProducerId, written: Written) -> WritableTxnMarkerResult {
    let mut topics: BTreeMap<String, Vec<WritableTxnMarkerPartitionResult>> = BTreeMap::new();
    for (topic, partition_index, error) in written {
        topics
            .entry(topic)
            .or_default()
            .push(WritableTxnMarkerPartitionResult { partition_index, error_code: error.code() });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| WritableTxnMarkerTopicResult { name, partitions });
    WritableTxnMarkerResult { producer_id: producer_id.0, topics: topics.collect() }
}
