//! UnregisterBrokerRecord (metadata record 1, versions 0):

use crate::Message;

/// UnregisterBrokerRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct UnregisterBrokerRecord {
    pub broker_id: i32,
    pub broker_epoch: i64,
}
