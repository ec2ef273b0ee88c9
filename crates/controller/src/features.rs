//! The features that a new cluster starts with.

use kalda_protocol::stored::metadata::{FeatureLevelRecord, MetadataRecord};

/// `metadata.version` of Kafka 4.1 (4.1-IV1).
const METADATA_VERSION_4_1: i16 = 27;

/// Groups of the consumer protocol (KIP-848).
const GROUP_VERSION_1: i16 = 1;

/// Every transaction has an epoch of its own (KIP-890).
const TRANSACTION_VERSION_2: i16 = 2;

/// The records that a new cluster's log begins with. Only what is whole is finalized: clients
/// switch behaviour on these levels.
#[must_use]
pub fn bootstrap_records() -> Vec<MetadataRecord> {
    let level = |name: &str, feature_level| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord { name: name.to_owned(), feature_level })
    };
    vec![
        level("metadata.version", METADATA_VERSION_4_1),
        level("group.version", GROUP_VERSION_1),
        level("transaction.version", TRANSACTION_VERSION_2),
    ]
}
