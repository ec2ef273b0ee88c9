//! DefaultPrincipalData (versions 0, flexible from 0):

use crate::Message;

/// DefaultPrincipalData
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct DefaultPrincipalData {
    pub r#type: String,
    pub name: String,
    pub token_authenticated: bool,
}
