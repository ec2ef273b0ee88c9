//! TopicRecord (metadata record 2, versions 0):

use kalda_model::Uuid;

use crate::Message;

/// TopicRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct TopicRecord {
    pub name: String,
    pub topic_id: Uuid,
}
