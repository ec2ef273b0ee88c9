//! ClientQuotaRecord (metadata record 14, versions 0): a quota was set or removed (KIP-546).

use crate::Message;

/// A quota was set or removed (KIP-546).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ClientQuotaRecord {
    pub entity: Vec<EntityData>,
    pub key: String,
    pub value: f64,
    pub remove: bool,
}

/// One of [`ClientQuotaRecord::entity`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct EntityData {
    pub entity_type: String,
    #[default(empty)]
    pub entity_name: Option<String>,
}
