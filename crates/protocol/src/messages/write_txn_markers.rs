//! WriteTxnMarkers (key 27, versions 1–2, flexible from 1): writes the outcome of transactions into
//! the logs they touched; sent by transaction coordinators to leaders (KIP-98).

use crate::Message;

/// The markers to write.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 27, versions = 1..=2, flexible = 1.., response = WriteTxnMarkersResponse)]
pub struct WriteTxnMarkersRequest {
    pub markers: Vec<WritableTxnMarker>,
}

/// One of [`WriteTxnMarkersRequest::markers`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct WritableTxnMarker {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub transaction_result: bool,
    pub topics: Vec<WritableTxnMarkerTopic>,
    pub coordinator_epoch: i32,
    /// The `transaction.version` under which the transaction ended (KIP-1228).
    #[versions(2..)]
    #[ignorable]
    pub transaction_version: i8,
}

/// One of [`WritableTxnMarker::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct WritableTxnMarkerTopic {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

/// One error code per partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 1..=2, flexible = 1..)]
pub struct WriteTxnMarkersResponse {
    pub markers: Vec<WritableTxnMarkerResult>,
}

/// One of [`WriteTxnMarkersResponse::markers`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct WritableTxnMarkerResult {
    pub producer_id: i64,
    pub topics: Vec<WritableTxnMarkerTopicResult>,
}

/// One of [`WritableTxnMarkerResult::topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct WritableTxnMarkerTopicResult {
    pub name: String,
    pub partitions: Vec<WritableTxnMarkerPartitionResult>,
}

/// One of [`WritableTxnMarkerTopicResult::partitions`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct WritableTxnMarkerPartitionResult {
    pub partition_index: i32,
    pub error_code: i16,
}
