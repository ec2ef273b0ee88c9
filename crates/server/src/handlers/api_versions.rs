//! ApiVersions (key 18, v0–4): which APIs and versions are handled, and which features are
//! finalized (KIP-35, KIP-511, KIP-584). From v3 on the client says who it is; the answer's header
//! stays at version 0 in every version.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use crate::broker::{KRAFT_VERSION, SUPPORTED_FEATURES};
use crate::dispatch::{APIS, Handle, RequestContext};

/// Stands in the context for a version that this broker does not know.
pub(crate) const UNSUPPORTED: i16 = i16::MIN;

impl Handle for ApiVersionsRequest {
    async fn handle(self, cx: &RequestContext) -> ApiVersionsResponse {
        let named = cx.version < 3
            || (is_software_name(&self.client_software_name)
                && is_software_name(&self.client_software_version));
        if !named {
            return failure(ErrorCode::InvalidRequest, Vec::new());
        }
        let image = cx.broker.image();
        let at_controllers = cx.broker.is_controller_listener(&cx.peer);
        let served = APIS.iter().filter(|api| api.is_served(at_controllers));
        // Clients before v4 cannot read a feature whose lowest level is 0 (KAFKA-17011).
        let shown = SUPPORTED_FEATURES.iter().filter(|(_, min, _)| cx.version >= 4 || *min > 0);
        let supported = shown.map(|(name, min_version, max_version)| SupportedFeatureKey {
            name: (*name).to_owned(),
            min_version: *min_version,
            max_version: *max_version,
        });
        let finalized = image.features.iter().map(|(name, level)| FinalizedFeatureKey {
            name: name.clone(),
            max_version_level: *level,
            min_version_level: *level,
        });
        let kraft_version = cx.broker.kraft_version();
        let of_quorum = (kraft_version > 0).then(|| FinalizedFeatureKey {
            name: KRAFT_VERSION.to_owned(),
            max_version_level: kraft_version,
            min_version_level: kraft_version,
        });
        ApiVersionsResponse {
            error_code: ErrorCode::None.code(),
            api_keys: served.map(entry).collect(),
            throttle_time_ms: 0,
            supported_features: supported.collect(),
            finalized_features_epoch: image.end_offset.0,
            finalized_features: finalized.chain(of_quorum).collect(),
            zk_migration_ready: false,
        }
    }
}

/// The answer to a version that this broker does not know: only what it takes to try again.
pub(crate) fn unsupported(_cx: &RequestContext) -> ApiVersionsResponse {
    let own = APIS.iter().filter(|api| api.key == kalda_protocol::ApiKey::ApiVersions);
    failure(ErrorCode::UnsupportedVersion, own.map(entry).collect())
}

fn failure(error: ErrorCode, api_keys: Vec<ApiVersion>) -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: error.code(), api_keys, ..ApiVersionsResponse::default() }
}

fn entry(api: &crate::dispatch::Api) -> ApiVersion {
    let versions = api.advertised();
    ApiVersion {
        api_key: api.key.value(),
        min_version: *versions.start(),
        max_version: *versions.end(),
    }
}

/// Letters, digits, dots and dashes, none of the last two at the ends (KIP-511).
fn is_software_name(name: &str) -> bool {
    let is_mark = |char: char| matches!(char, '.' | '-');
    !name.is_empty()
        && name.chars().all(|char| char.is_ascii_alphanumeric() || is_mark(char))
        && !name.starts_with(is_mark)
        && !name.ends_with(is_mark)
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names() {
        assert!(is_software_name("apache-kafka-java"));
        assert!(is_software_name("4.1.0"));
        for name in ["", "-a", "a.", "a b", "a_b"] {
            assert!(!is_software_name(name), "{name}");
        }
    }
}
