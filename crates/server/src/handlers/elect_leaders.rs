//! ElectLeaders (key 43, v0–2): preferred leaders, or unclean ones where there is no other.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};

use crate::controlled::{Controlled, Deciding};

impl Controlled for ElectLeadersRequest {
    fn decide(&self, with: &mut Deciding<'_>, _version: i16) -> Decision<ElectLeadersResponse> {
        with.controller.elect_leaders(self)
    }

    fn refused(&self, error: ErrorCode, _message: &str) -> ElectLeadersResponse {
        let error_code = error.code();
        ElectLeadersResponse { error_code, ..ElectLeadersResponse::default() }
    }

    fn error_of(response: &ElectLeadersResponse) -> i16 {
        response.error_code
    }
}
