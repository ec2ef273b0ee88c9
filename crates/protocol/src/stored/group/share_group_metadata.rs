//! ShareGroupMetadata (record type 11, value versions 0, flexible from 0): a share group and its
//! epoch (KIP-932).

use crate::Message;

/// The key of a ShareGroupMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 11, versions = 0..=0)]
pub struct ShareGroupMetadataKey {
    pub group_id: String,
}

/// A share group and its epoch (KIP-932).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ShareGroupMetadataValue {
    pub epoch: i32,
    pub metadata_hash: i64,
}
