//! ConsumerGroupMetadata (record type 3, value versions 0, flexible from 0): a consumer group of
//! the new protocol and its epoch (KIP-848).

use crate::Message;

/// The key of a ConsumerGroupMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 3, versions = 0..=0)]
pub struct ConsumerGroupMetadataKey {
    pub group_id: String,
}

/// A consumer group of the new protocol and its epoch (KIP-848).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupMetadataValue {
    pub epoch: i32,
    #[tag(0)]
    pub metadata_hash: i64,
}
