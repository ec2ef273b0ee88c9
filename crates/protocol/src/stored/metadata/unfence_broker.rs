//! UnfenceBrokerRecord (metadata record 8, versions 0):

use crate::Message;

/// UnfenceBrokerRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct UnfenceBrokerRecord {
    pub id: i32,
    pub epoch: i64,
}
