//! StreamsGroupMemberMetadata (record type 19, value versions 0, flexible from 0): a member of a
//! streams group.

use crate::Message;

/// The key of a StreamsGroupMemberMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 19, versions = 0..=0)]
pub struct StreamsGroupMemberMetadataKey {
    pub group_id: String,
    pub member_id: String,
}

/// A member of a streams group.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct StreamsGroupMemberMetadataValue {
    #[default(empty)]
    pub instance_id: Option<String>,
    #[default(empty)]
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    #[default(-1)]
    pub rebalance_timeout_ms: i32,
    pub topology_epoch: i32,
    pub process_id: String,
    pub user_endpoint: Option<Endpoint>,
    pub client_tags: Vec<KeyValue>,
}

/// The value of [`StreamsGroupMemberMetadataValue::user_endpoint`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// One of [`StreamsGroupMemberMetadataValue::client_tags`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}
