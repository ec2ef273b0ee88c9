//! Which version of each API a broker and this client share (KIP-35, KIP-511).
//!
//! Asked for once per connection; every request takes its version from here.

use kalda_protocol::ApiKey;
use kalda_protocol::messages::api_versions::{
    ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

/// What one broker offers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ApiVersionTable {
    /// `(key, min, max)` as the broker told, unknown keys included, in its order.
    offered: Vec<(i16, i16, i16)>,
    /// The features that the broker supports.
    pub supported_features: Vec<SupportedFeatureKey>,
    /// The features that the cluster has settled on.
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// As of which offset of the metadata, if the broker tells.
    pub finalized_features_epoch: Option<i64>,
}

impl ApiVersionTable {
    /// Keeps what an answer tells.
    #[must_use]
    pub fn new(response: ApiVersionsResponse) -> Self {
        Self {
            offered: response
                .api_keys
                .iter()
                .map(|api| (api.api_key, api.min_version, api.max_version))
                .collect(),
            supported_features: response.supported_features,
            finalized_features: response.finalized_features,
            finalized_features_epoch: Some(response.finalized_features_epoch)
                .filter(|epoch| *epoch >= 0),
        }
    }

    /// All that is offered, as `(key, min, max)`.
    #[must_use]
    pub fn offered(&self) -> &[(i16, i16, i16)] {
        &self.offered
    }

    /// The versions that the broker has of an API.
    #[must_use]
    pub fn range(&self, key: ApiKey) -> Option<(i16, i16)> {
        let offered = self.offered.iter().find(|(offered, ..)| *offered == key.value());
        offered.map(|&(_, min, max)| (min, max))
    }

    /// The level of a feature that the cluster has settled on; 0 if it has none.
    #[must_use]
    pub fn feature_level(&self, name: &str) -> i16 {
        let feature = self.finalized_features.iter().find(|feature| feature.name == name);
        feature.map_or(0, |feature| feature.max_version_level)
    }

    /// The newest stable version that both sides have, no higher than `cap`.
    #[must_use]
    pub fn pick(&self, key: ApiKey, cap: i16) -> Option<i16> {
        let (their_min, their_max) = self.range(key)?;
        let (our_min, _) = key.versions();
        let version = their_max.min(key.latest_stable_version()?).min(cap);
        (version >= their_min.max(our_min)).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_protocol::messages::api_versions::ApiVersion;

    #[test]
    fn the_newest_common_version_is_taken() {
        let api_keys =
            [(ApiKey::Fetch, 0, 11), (ApiKey::Produce, 99, 100), (ApiKey::Metadata, 0, 0)].map(
                |(key, min_version, max_version)| ApiVersion {
                    api_key: key.value(),
                    min_version,
                    max_version,
                },
            );
        let response = ApiVersionsResponse { api_keys: api_keys.into(), ..Default::default() };
        let table = ApiVersionTable::new(response);
        assert_eq!(table.pick(ApiKey::Fetch, i16::MAX), Some(11));
        assert_eq!(table.pick(ApiKey::Fetch, 7), Some(7));
        assert_eq!(table.pick(ApiKey::Fetch, 3), None);
        assert_eq!(table.pick(ApiKey::Produce, i16::MAX), None);
        assert_eq!(table.pick(ApiKey::Metadata, i16::MAX), Some(0));
        assert_eq!(table.pick(ApiKey::CreateTopics, i16::MAX), None);
    }
}
