//! The features of a cluster: what a new one starts with, and what this binary can run.

use kalda_protocol::stored::metadata::{FeatureLevelRecord, MetadataRecord};

/// The feature that versions the metadata records themselves.
pub(crate) const METADATA_VERSION: &str = "metadata.version";

/// The feature that versions the quorum (KIP-853). Its level is a control record of the quorum, and none of the
/// controller's.
pub const KRAFT_VERSION: &str = "kraft.version";

/// Eligible leader replicas are kept from level 1 on (KIP-966).
pub(crate) const ELIGIBLE_LEADER_REPLICAS_VERSION: &str = "eligible.leader.replicas.version";

/// `metadata.version` of Kafka 4.1 (4.1-IV1).
const METADATA_VERSION_4_1: i16 = 27;

/// From this `metadata.version` (4.0-IV1) on eligible leader replicas can be kept.
pub(crate) const METADATA_VERSION_ELR: i16 = 23;

/// From this `metadata.version` (3.7-IV2) on replicas are assigned to log directories.
pub(crate) const METADATA_VERSION_DIRECTORIES: i16 = 17;

/// Groups of the consumer protocol (KIP-848).
const GROUP_VERSION_1: i16 = 1;

/// Every transaction has an epoch of its own (KIP-890).
const TRANSACTION_VERSION_2: i16 = 2;

/// The features that this binary can run: name, lowest and highest level. A feature is here once it
/// is whole.
pub const SUPPORTED_FEATURES: &[(&str, i16, i16)] = &[
    (ELIGIBLE_LEADER_REPLICAS_VERSION, 0, 1),
    ("group.version", 0, 1),
    (KRAFT_VERSION, 0, 1),
    (METADATA_VERSION, 7, METADATA_VERSION_4_1),
    ("transaction.version", 0, 2),
];

/// The records that a new cluster's log begins with. Only what is whole is finalized: clients
/// switch behaviour on these levels.
#[must_use]
pub fn bootstrap_records() -> Vec<MetadataRecord> {
    let level = |name: &str, feature_level| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord { name: name.to_owned(), feature_level })
    };
    vec![
        level(METADATA_VERSION, METADATA_VERSION_4_1),
        level(ELIGIBLE_LEADER_REPLICAS_VERSION, 1),
        level("group.version", GROUP_VERSION_1),
        level("transaction.version", TRANSACTION_VERSION_2),
    ]
}
