//! ShareGroupMemberMetadata (record type 10, value versions 0, flexible from 0): a member of a
//! share group (KIP-932).

use crate::Message;

/// The key of a ShareGroupMemberMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 10, versions = 0..=0)]
pub struct ShareGroupMemberMetadataKey {
    pub group_id: String,
    pub member_id: String,
}

/// A member of a share group (KIP-932).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ShareGroupMemberMetadataValue {
    #[default(empty)]
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topic_names: Vec<String>,
}
