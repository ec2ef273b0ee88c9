//! The features of the cluster and their levels (KIP-584).

use std::collections::BTreeMap;

use kalda_protocol::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};

use super::Admin;
use crate::{Error, Result};

/// What the cluster runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Features {
    /// By name.
    pub features: Vec<Feature>,
    /// As of which offset of the metadata, if the node tells.
    pub epoch: Option<i64>,
}

/// A feature that the answering node can run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The lowest level that the node can run.
    pub min: i16,
    /// The highest.
    pub max: i16,
    /// The level that the cluster has settled on; 0 if it is off.
    pub finalized: i16,
}

/// In which direction a level may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FeatureUpdate {
    /// Up only.
    Upgrade,
    /// Down, if nothing is lost by it.
    SafeDowngrade,
    /// Down, whatever is lost.
    UnsafeDowngrade,
}

impl FeatureUpdate {
    fn wire(self) -> i8 {
        match self {
            Self::Upgrade => 1,
            Self::SafeDowngrade => 2,
            Self::UnsafeDowngrade => 3,
        }
    }
}

/// Whether changes are made or only checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Attempted {
    Make,
    Check,
}

impl Admin {
    /// The features that the answering node can run, and their levels.
    ///
    /// # Errors
    /// Nobody answers in time.
    pub async fn describe_features(&self) -> Result<Features> {
        self.with_retries("describeFeatures", async || {
            let connection = self.cluster.any_broker_or_active_controller().await?;
            let told = connection.versions_now().await?;
            let mut features: Vec<Feature> = told
                .supported_features
                .iter()
                .map(|feature| Feature {
                    name: feature.name.clone(),
                    min: feature.min_version,
                    max: feature.max_version,
                    finalized: told.feature_level(&feature.name),
                })
                .collect();
            features.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(Features { features, epoch: told.finalized_features_epoch })
        })
        .await
    }

    /// Changes the levels of features, all or none where the controller does so, and tells how each
    /// went.
    ///
    /// # Errors
    /// The controller is not there in time.
    pub async fn update_features(
        &self,
        levels: &BTreeMap<String, i16>,
        update: FeatureUpdate,
    ) -> Result<BTreeMap<String, Result<()>>> {
        self.send_update(levels, update, Attempted::Make).await
    }

    /// Tells how [`Self::update_features`] would go.
    ///
    /// # Errors
    /// The controller is not there in time, or is too old to only check.
    pub async fn check_feature_update(
        &self,
        levels: &BTreeMap<String, i16>,
        update: FeatureUpdate,
    ) -> Result<BTreeMap<String, Result<()>>> {
        self.send_update(levels, update, Attempted::Check).await
    }

    async fn send_update(
        &self,
        levels: &BTreeMap<String, i16>,
        update: FeatureUpdate,
        attempted: Attempted,
    ) -> Result<BTreeMap<String, Result<()>>> {
        self.with_retries("updateFeatures", async || {
            let connection = self.cluster.controller().await?;
            let version = connection.version::<UpdateFeaturesRequest>(i16::MAX)?;
            let updates = levels.iter().map(|(feature, level)| FeatureUpdateKey {
                feature: feature.clone(),
                max_version_level: *level,
                allow_downgrade: version == 0 && update != FeatureUpdate::Upgrade,
                upgrade_type: if version == 0 { 1 } else { update.wire() },
            });
            let request = UpdateFeaturesRequest {
                timeout_ms: self.server_timeout_ms(),
                feature_updates: updates.collect(),
                validate_only: attempted == Attempted::Check,
            };
            let response = connection.start(&request, version)?.answer(&connection).await?;
            let whole = Error::from_code(response.error_code, response.error_message);
            if let Some(error) = whole {
                if error.is_stale_metadata() || response.results.is_empty() && error.is_retriable()
                {
                    return Err(error);
                }
                let all = levels.keys().map(|name| (name.clone(), Err(error.clone())));
                return Ok(all.collect());
            }
            // From version 2 on the answer names no feature when all went well.
            let mut outcomes: BTreeMap<String, Result<()>> =
                levels.keys().map(|name| (name.clone(), Ok(()))).collect();
            for result in response.results {
                let outcome = Error::check(result.error_code, result.error_message);
                outcomes.insert(result.feature, outcome);
            }
            Ok(outcomes)
        })
        .await
    }
}
