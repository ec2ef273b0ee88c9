//! ProducerIdsRecord (metadata record 15, versions 0): producer ids below `next_producer_id` are
//! handed out (KIP-730).

use crate::Message;

/// Producer ids below `next_producer_id` are handed out (KIP-730).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ProducerIdsRecord {
    pub broker_id: i32,
    #[default(-1)]
    pub broker_epoch: i64,
    pub next_producer_id: i64,
}
