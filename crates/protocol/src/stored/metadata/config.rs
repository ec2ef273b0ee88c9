//! ConfigRecord (metadata record 4, versions 0): a config of a resource was set, or with null
//! removed.

use crate::Message;

/// A config of a resource was set, or with null removed.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ConfigRecord {
    pub resource_type: i8,
    pub resource_name: String,
    pub name: String,
    #[default(empty)]
    pub value: Option<String>,
}
