//! StreamsGroupMetadata (record type 17, value versions 0, flexible from 0): a streams group and
//! its epoch (KIP-1071).

use crate::Message;

/// The key of a StreamsGroupMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 17, versions = 0..=0)]
pub struct StreamsGroupMetadataKey {
    pub group_id: String,
}

/// A streams group and its epoch (KIP-1071).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct StreamsGroupMetadataValue {
    pub epoch: i32,
    pub metadata_hash: i64,
}
