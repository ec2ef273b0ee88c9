//! UpdateFeatures (key 57, v0–2, KIP-584): finalized levels of features, up or down.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::controlled::{Controlled, Deciding};

impl Controlled for UpdateFeaturesRequest {
    fn decide(&self, with: &mut Deciding<'_>, version: i16) -> Decision<UpdateFeaturesResponse> {
        with.controller.update_features(self, version)
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
