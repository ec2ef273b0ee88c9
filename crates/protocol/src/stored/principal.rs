//! DefaultPrincipalData (versions 0, flexible from 0): a principal, as it travels in an Envelope.

use crate::Message;

/// A principal, as it travels in an Envelope.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DefaultPrincipalData {
    pub r#type: String,
    pub name: String,
    pub token_authenticated: bool,
}
