//! ConsumerGroupMemberMetadata (record type 5, value versions 0, flexible from 0): a member of a
//! consumer group and what it subscribes to.

use bytes::Bytes;

use crate::Message;

/// The key of a ConsumerGroupMemberMetadata record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 5, versions = 0..=0)]
pub struct ConsumerGroupMemberMetadataKey {
    pub group_id: String,
    pub member_id: String,
}

/// A member of a consumer group and what it subscribes to.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupMemberMetadataValue {
    #[default(empty)]
    pub instance_id: Option<String>,
    #[default(empty)]
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topic_names: Vec<String>,
    #[default(empty)]
    pub subscribed_topic_regex: Option<String>,
    #[default(-1)]
    pub rebalance_timeout_ms: i32,
    #[default(empty)]
    pub server_assignor: Option<String>,
    #[tag(0)]
    pub classic_member_metadata: Option<ClassicMemberMetadata>,
}

/// The value of [`ConsumerGroupMemberMetadataValue::classic_member_metadata`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ClassicMemberMetadata {
    pub session_timeout_ms: i32,
    pub supported_protocols: Vec<ClassicProtocol>,
}

/// One of [`ClassicMemberMetadata::supported_protocols`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ClassicProtocol {
    pub name: String,
    pub metadata: Bytes,
}
