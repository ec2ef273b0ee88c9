//! UpdateFeatures (key 57, v0–2, KIP-584): finalized levels of features, up or down.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::update_features::{
    FeatureUpdateKey, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use crate::broker::KRAFT_VERSION;
use crate::controlled::{Controlled, Deciding};

impl Controlled for UpdateFeaturesRequest {
    fn decide(&self, with: &mut Deciding<'_>, version: i16) -> Decision<UpdateFeaturesResponse> {
        // The quorum's own feature is no record of the metadata. As it is it may be said again, with others.
        let mut request = self.clone();
        let is_as_it_is = |update: &FeatureUpdateKey| {
            update.feature == KRAFT_VERSION && update.max_version_level == with.kraft_version
        };
        request.feature_updates.retain(|update| !is_as_it_is(update));
        with.controller.update_features(&request, version)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> UpdateFeaturesResponse {
        UpdateFeaturesResponse {
            error_code: error.code(),
            error_message: Some(message.to_owned()),
            ..UpdateFeaturesResponse::default()
        }
    }

    fn error_of(response: &UpdateFeaturesResponse) -> i16 {
        response.error_code
    }
}
