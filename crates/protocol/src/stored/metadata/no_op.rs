//! NoOpRecord (metadata record 20, versions 0): nothing happened; it moves the high watermark of an
//! idle cluster (KIP-835).

use crate::Message;

/// Nothing happened; it moves the high watermark of an idle cluster (KIP-835).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct NoOpRecord {}
