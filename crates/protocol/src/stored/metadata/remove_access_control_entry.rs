//! RemoveAccessControlEntryRecord (metadata record 19, versions 0):

use kalda_model::Uuid;

use crate::Message;

/// RemoveAccessControlEntryRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveAccessControlEntryRecord {
    pub id: Uuid,
}
