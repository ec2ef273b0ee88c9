//! EndTxnMarker (versions 0, never flexible):

use crate::Message;

/// EndTxnMarker
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0)]
pub struct EndTxnMarker {
    pub coordinator_epoch: i32,
}
