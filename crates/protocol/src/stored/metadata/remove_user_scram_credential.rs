//! RemoveUserScramCredentialRecord (metadata record 22, versions 0):

use crate::Message;

/// RemoveUserScramCredentialRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveUserScramCredentialRecord {
    pub name: String,
    pub mechanism: i8,
}
