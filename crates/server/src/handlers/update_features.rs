//! UpdateFeatures (key 57, v0–2, KIP-584): finalized levels of features, up or down.

use kalda_controller::{Decision, QuorumFeature};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::controlled::{Controlled, Deciding};

impl Controlled for UpdateFeaturesRequest {
    fn decide(&self, with: &mut Deciding<'_>, version: i16) -> Decision<UpdateFeaturesResponse> {
        let quorum = with.quorum;
        let may_rise = |level| quorum.plan_upgrade(level).map(drop).map_err(|why| why.to_string());
        let of_quorum = QuorumFeature { level: quorum.log().kraft_version(), may_rise: &may_rise };
        let (decision, rises_to) = with.controller.update_features(self, version, of_quorum);
        with.kraft_version_rises_to = rises_to;
        decision
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
