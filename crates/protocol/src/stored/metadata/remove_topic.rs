//! RemoveTopicRecord (metadata record 9, versions 0):

use kalda_model::Uuid;

use crate::Message;

/// RemoveTopicRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveTopicRecord {
    pub topic_id: Uuid,
}
