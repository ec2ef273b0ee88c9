//! UnregisterBrokerRecord (metadata record 1, versions 0): a broker is gone for good.

use crate::Message;

/// A broker is gone for good.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct UnregisterBrokerRecord {
    pub broker_id: i32,
    pub broker_epoch: i64,
}
