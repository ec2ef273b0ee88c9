//! NoOpRecord (metadata record 20, versions 0):

use crate::Message;

/// NoOpRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct NoOpRecord {}
