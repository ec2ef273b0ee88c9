//! AccessControlEntryRecord (metadata record 18, versions 0): an access rule was created (KIP-801).

use kalda_model::Uuid;

use crate::Message;

/// An access rule was created (KIP-801).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct AccessControlEntryRecord {
    pub id: Uuid,
    pub resource_type: i8,
    pub resource_name: String,
    pub pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}
