//! RemoveAccessControlEntryRecord (metadata record 19, versions 0): an access rule was deleted
//! (KIP-801).

use kalda_model::Uuid;

use crate::Message;

/// An access rule was deleted (KIP-801).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveAccessControlEntryRecord {
    pub id: Uuid,
}
