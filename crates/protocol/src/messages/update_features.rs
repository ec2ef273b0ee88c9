//! UpdateFeatures (key 57, versions 0–2, flexible from 0): finalizes feature levels of the cluster
//! (KIP-584).
//!
//! - v1: request adds `upgrade_type`, `validate_only` and drops `allow_downgrade`.
//! - v2: response drops `results`.

use crate::Message;

/// The levels wanted.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 57, versions = 0..=2, flexible = 0.., response = UpdateFeaturesResponse)]
pub struct UpdateFeaturesRequest {
    #[default(60000)]
    pub timeout_ms: i32,
    pub feature_updates: Vec<FeatureUpdateKey>,
    #[versions(1..)]
    pub validate_only: bool,
}

/// One of [`UpdateFeaturesRequest::feature_updates`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct FeatureUpdateKey {
    pub feature: String,
    pub max_version_level: i16,
    #[versions(0)]
    pub allow_downgrade: bool,
    #[versions(1..)]
    #[default(1)]
    pub upgrade_type: i8,
}

/// The outcome per feature.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 0..)]
pub struct UpdateFeaturesResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    #[versions(0..=1)]
    #[ignorable]
    pub results: Vec<UpdatableFeatureResult>,
}

/// One of [`UpdateFeaturesResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct UpdatableFeatureResult {
    pub feature: String,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
