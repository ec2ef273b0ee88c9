//! ApiVersions (key 18, versions 0–4, flexible from 3): tells which APIs and versions are served,
//! and the features of the cluster (KIP-584). It is answered before authentication, and for an
//! unknown version in version 0 with UNSUPPORTED_VERSION (KIP-511). The response header never is
//! flexible.
//!
//! - v1: response adds `throttle_time_ms`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: request adds `client_software_name`, `client_software_version`; response adds
//!   `supported_features`, `finalized_features_epoch`, `finalized_features`, `zk_migration_ready`;
//!   flexible (KIP-511).
//! - v4: same layout; may tell features whose minimum is 0 (KAFKA-17011).

use crate::Message;

/// What the client is, from version 3 on.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 18, versions = 0..=4, flexible = 3.., response = ApiVersionsResponse)]
pub struct ApiVersionsRequest {
    #[versions(3..)]
    #[ignorable]
    pub client_software_name: String,
    #[versions(3..)]
    #[ignorable]
    pub client_software_version: String,
}

/// The range of every API served.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 3..)]
pub struct ApiVersionsResponse {
    pub error_code: i16,
    pub api_keys: Vec<ApiVersion>,
    #[versions(1..)]
    #[ignorable]
    pub throttle_time_ms: i32,
    #[tag(0)]
    #[versions(3..)]
    #[ignorable]
    pub supported_features: Vec<SupportedFeatureKey>,
    #[tag(1)]
    #[versions(3..)]
    #[default(-1)]
    #[ignorable]
    pub finalized_features_epoch: i64,
    #[tag(2)]
    #[versions(3..)]
    #[ignorable]
    pub finalized_features: Vec<FinalizedFeatureKey>,
    #[tag(3)]
    #[versions(3..)]
    #[ignorable]
    pub zk_migration_ready: bool,
}

/// One of [`ApiVersionsResponse::api_keys`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

/// One of [`ApiVersionsResponse::supported_features`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct SupportedFeatureKey {
    pub name: String,
    pub min_version: i16,
    pub max_version: i16,
}

/// One of [`ApiVersionsResponse::finalized_features`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct FinalizedFeatureKey {
    pub name: String,
    pub max_version_level: i16,
    pub min_version_level: i16,
}
