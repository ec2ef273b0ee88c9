//! ClientQuotaRecord (metadata record 14, versions 0):

use crate::Message;

/// ClientQuotaRecord
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
