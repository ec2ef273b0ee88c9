//! ProducerIdsRecord (metadata record 15, versions 0):

use crate::Message;

/// ProducerIdsRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ProducerIdsRecord {
    pub broker_id: i32,
    #[default(-1)]
    pub broker_epoch: i64,
    pub next_producer_id: i64,
}
