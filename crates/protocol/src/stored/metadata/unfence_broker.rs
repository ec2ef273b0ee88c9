//! UnfenceBrokerRecord (metadata record 8, versions 0): a broker was unfenced. Only replayed;
//! BrokerRegistrationChangeRecord took its place.

use crate::Message;

/// A broker was unfenced. Only replayed; BrokerRegistrationChangeRecord took its place.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct UnfenceBrokerRecord {
    pub id: i32,
    pub epoch: i64,
}
