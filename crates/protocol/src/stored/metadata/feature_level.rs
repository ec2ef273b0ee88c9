//! FeatureLevelRecord (metadata record 12, versions 0):

use crate::Message;

/// FeatureLevelRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct FeatureLevelRecord {
    pub name: String,
    pub feature_level: i16,
}
