//! The features that a new cluster starts with.

use kalda_protocol::stored::metadata::{FeatureLevelRecord, MetadataRecord};

/// `metadata.version` of Kafka 4.1 (4.1-IV1).
const METADATA_VERSION_4_1: i16 = 27;

/// The records that a new cluster's log begins with. Only what is whole is finalized: clients
/// switch behaviour on these levels.
#[must_use]
pub fn bootstrap_records() -> Vec<MetadataRecord> {
    vec![MetadataRecord::FeatureLevel(FeatureLevelRecord {
        name: "metadata.version".to_owned(),
        feature_level: METADATA_VERSION_4_1,
    })]
}
