//! UpdateFeatures (key 57, v0–2): the level that the cluster runs each feature at
//! (`FeatureControlManager`). All updates of a request hold or none.

use std::collections::BTreeMap;

use kalda_metadata::config::MIN_INSYNC_REPLICAS;
use kalda_metadata::{ConfigResource, ResourceType};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use kalda_protocol::stored::metadata::{
    ClearElrRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, NoOpRecord,
};

use crate::features::{
    ELIGIBLE_LEADER_REPLICAS_VERSION, KRAFT_VERSION, METADATA_VERSION, METADATA_VERSION_ELR,
    SUPPORTED_FEATURES,
};
use crate::{Controller, Decision, Refusal};

/// Which way a level may move (`FeatureUpdate.UpgradeType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum UpgradeType {
    Upgrade,
    Downgrade,
}

/// What the quorum says of its own feature, `kraft.version`.
#[derive(Clone, Copy)]
pub struct QuorumFeature<'a> {
    /// Its level.
    pub level: i16,
    /// Whether the voters let it rise to a level, and why not if not.
    pub may_rise: &'a dyn Fn(i16) -> Result<(), String>,
}

impl Controller<'_> {
    /// Decides the updates of `request`, in `version`. Only v0 and v1 tell each feature's outcome. Beside
    /// the decision stands the level to which the quorum has to raise its own feature, if it has to.
    #[must_use]
    pub fn update_features(
        &self,
        request: &UpdateFeaturesRequest,
        version: i16,
        quorum: QuorumFeature<'_>,
    ) -> (Decision<UpdateFeaturesResponse>, Option<i16>) {
        let mut records = Vec::new();
        let mut refused = None;
        let mut wanted = BTreeMap::new();
        for update in &request.feature_updates {
            let is_twice =
                wanted.insert(update.feature.as_str(), update.max_version_level).is_some();
            if is_twice && refused.is_none() {
                let text = format!("The feature {} is named twice.", update.feature);
                refused = Some(Refusal::new(ErrorCode::InvalidRequest, text));
            }
        }
        for update in &request.feature_updates {
            if refused.is_none() {
                match self.update_feature(update, version, &wanted, quorum) {
                    Ok(more) => records.extend(more),
                    Err(refusal) => refused = Some(refusal),
                }
            }
        }
        if request.validate_only || refused.is_some() {
            records.clear();
        }
        let rises = |level: &i16| *level > quorum.level && !records.is_empty();
        let of_quorum = wanted.get(KRAFT_VERSION).copied().filter(rises);
        let (code, message) = match refused {
            None => (ErrorCode::None, None),
            Some(Refusal { code, message }) => (code, Some(message)),
        };
        let outcome = |update: &FeatureUpdateKey| UpdatableFeatureResult {
            feature: update.feature.clone(),
            error_code: code.code(),
            error_message: message.clone(),
        };
        let results = match version {
            0 | 1 => request.feature_updates.iter().map(outcome).collect(),
            _ => Vec::new(),
        };
        let response = UpdateFeaturesResponse {
            error_code: code.code(),
            error_message: message.clone(),
            results,
            ..UpdateFeaturesResponse::default()
        };
        (Decision { records, response }, of_quorum)
    }

    fn update_feature(
        &self,
        update: &FeatureUpdateKey,
        version: i16,
        wanted: &BTreeMap<&str, i16>,
        quorum: QuorumFeature<'_>,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let (name, level) = (update.feature.as_str(), update.max_version_level);
        let invalid = |reason: &str| {
            let text = format!("Invalid update version {level} for feature {name}. {reason}");
            Err(Refusal::new(ErrorCode::InvalidUpdateVersion, text))
        };
        let Some(upgrade_type) = upgrade_type(update, version) else {
            return invalid("The controller does not support the given upgrade type.");
        };
        if level < 0 {
            return invalid("A feature version cannot be less than 0.");
        }
        if let Some(reason) = self.reason_not_supported(name, level) {
            return invalid(&reason);
        }
        let now = if name == KRAFT_VERSION { quorum.level } else { self.image.feature(name) };
        if level < now && upgrade_type == UpgradeType::Upgrade {
            return invalid(
                "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
            );
        }
        if level > now && upgrade_type == UpgradeType::Downgrade {
            return invalid("Can't downgrade to a newer version.");
        }
        if name == METADATA_VERSION && level < now {
            return invalid("A lower level could not hold all of the metadata that there is.");
        }
        let mut records = Vec::new();
        if level == now {
            return Ok(records);
        }
        if name == KRAFT_VERSION {
            if upgrade_type == UpgradeType::Downgrade {
                return invalid("Can't downgrade the version of this feature.");
            }
            (quorum.may_rise)(level)
                .map_err(|text| Refusal::new(ErrorCode::InvalidUpdateVersion, text))?;
            // The level is a record of the quorum. This one is there to be waited for.
            return Ok(vec![MetadataRecord::NoOp(NoOpRecord::default())]);
        }
        if name == ELIGIBLE_LEADER_REPLICAS_VERSION {
            let metadata_version = wanted.get(METADATA_VERSION).copied();
            let metadata_version =
                metadata_version.unwrap_or_else(|| self.image.metadata_version());
            if level > 0 && metadata_version < METADATA_VERSION_ELR {
                return invalid(&format!("It needs {METADATA_VERSION} {METADATA_VERSION_ELR}."));
            }
            if level == 0 {
                if let Some(partition) = self.partition_in_nobodys_isr() {
                    return invalid(&format!(
                        "Nobody is in sync for {partition}: its eligible leader replicas are all that is known of it."
                    ));
                }
                records.push(MetadataRecord::ClearElr(ClearElrRecord::default()));
            } else {
                records.extend(self.same_min_insync_everywhere());
            }
        }
        records.push(MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: name.to_owned(),
            feature_level: level,
        }));
        Ok(records)
    }

    /// Every registered broker and controller must be able to run a level before it is finalized.
    fn reason_not_supported(&self, name: &str, level: i16) -> Option<String> {
        let own = SUPPORTED_FEATURES.iter().find(|(own, _, _)| *own == name);
        let own = own.map(|(_, min, max)| (*min, *max));
        let brokers = self.image.brokers.values();
        let brokers = brokers.map(|one| (format!("Broker {}", one.id), &one.features));
        let controllers = self.image.controllers.values();
        let controllers = controllers.map(|one| (format!("Controller {}", one.id), &one.features));
        let others = brokers.chain(controllers).map(|(who, features)| {
            let range = features.iter().find(|feature| feature.name == name);
            (who, range.map(|feature| (feature.min, feature.max)))
        });
        let local = std::iter::once((format!("Local controller {}", self.node), own));
        local.chain(others).find_map(|(who, range)| match range {
            None if level == 0 => None,
            None => Some(format!("{who} does not support this feature.")),
            Some((min, max)) if (min..=max).contains(&level) => None,
            Some((min, max)) => Some(format!("{who} only supports versions {min}-{max}")),
        })
    }

    fn partition_in_nobodys_isr(&self) -> Option<String> {
        self.image.topics.iter().find_map(|topic| {
            let mut partitions = topic.partitions.iter();
            let found = partitions.find(|(_, partition)| partition.isr.is_empty());
            found.map(|(index, _)| format!("{}-{index}", topic.name))
        })
    }

    /// Eligible leader replicas are safe only if every leader goes by the same
    /// `min.insync.replicas` as the controller: what this node's file says becomes the cluster's
    /// word, and brokers have none of their own.
    fn same_min_insync_everywhere(&self) -> Vec<MetadataRecord> {
        let record = |resource: &ConfigResource, value| {
            MetadataRecord::Config(ConfigRecord {
                resource_type: resource.kind as i8,
                resource_name: resource.name.to_string(),
                name: MIN_INSYNC_REPLICAS.to_owned(),
                value,
            })
        };
        let all = ConfigResource::broker_default();
        let mut records = Vec::new();
        if let Some(value) = self.static_config.get(MIN_INSYNC_REPLICAS)
            && self.image.configs.value(&all, MIN_INSYNC_REPLICAS).is_none()
        {
            records.push(record(&all, Some(value.clone())));
        }
        for (resource, settings) in self.image.configs.iter() {
            let is_one_broker = resource.kind == ResourceType::Broker && *resource != all;
            if is_one_broker && settings.contains_key(MIN_INSYNC_REPLICAS) {
                records.push(record(resource, None));
            }
        }
        records
    }
}

fn upgrade_type(update: &FeatureUpdateKey, version: i16) -> Option<UpgradeType> {
    match (version, update.upgrade_type) {
        (0, _) if update.allow_downgrade => Some(UpgradeType::Downgrade),
        (0, _) | (_, 1) => Some(UpgradeType::Upgrade),
        (_, 2 | 3) => Some(UpgradeType::Downgrade),
        _ => None,
    }
}
