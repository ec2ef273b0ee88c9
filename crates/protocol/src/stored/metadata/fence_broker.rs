//! FenceBrokerRecord (metadata record 7, versions 0):

use crate::Message;

/// FenceBrokerRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct FenceBrokerRecord {
    pub id: i32,
    pub epoch: i64,
}
