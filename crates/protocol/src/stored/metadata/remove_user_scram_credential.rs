//! RemoveUserScramCredentialRecord (metadata record 22, versions 0): a SCRAM credential was
//! removed.

use crate::Message;

/// A SCRAM credential was removed.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveUserScramCredentialRecord {
    pub name: String,
    pub mechanism: i8,
}
