//! FeatureLevelRecord (metadata record 12, versions 0): a feature was finalized at a level
//! (KIP-584); 0 removes it. `kraft.version` is not among them.

use crate::Message;

/// A feature was finalized at a level (KIP-584); 0 removes it. `kraft.version` is not among them.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct FeatureLevelRecord {
    pub name: String,
    pub feature_level: i16,
}
