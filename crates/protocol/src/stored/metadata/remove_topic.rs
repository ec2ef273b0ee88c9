//! RemoveTopicRecord (metadata record 9, versions 0): a topic was deleted, with its partitions.

use kalda_model::Uuid;

use crate::Message;

/// A topic was deleted, with its partitions.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveTopicRecord {
    pub topic_id: Uuid,
}
