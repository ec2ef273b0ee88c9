//! EndTxnMarker (versions 0, never flexible): the value of the control record that ends a
//! transaction in a partition; its key says how.

use crate::Message;

/// The value of the control record that ends a transaction in a partition; its key says how.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0)]
pub struct EndTxnMarker {
    pub coordinator_epoch: i32,
}
