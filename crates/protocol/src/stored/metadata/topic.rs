//! TopicRecord (metadata record 2, versions 0): a topic exists.

use kalda_model::Uuid;

use crate::Message;

/// A topic exists.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct TopicRecord {
    pub name: String,
    pub topic_id: Uuid,
}
