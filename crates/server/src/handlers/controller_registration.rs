//! ControllerRegistration (key 70, v0, KIP-919): a controller's listeners and features.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::controller_registration::{
    ControllerRegistrationRequest, ControllerRegistrationResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for ControllerRegistrationRequest {
    fn decide(
        &self,
        with: &mut Deciding<'_>,
        _version: i16,
    ) -> Decision<ControllerRegistrationResponse> {
        with.controller.register_controller(self)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> ControllerRegistrationResponse {
        ControllerRegistrationResponse {
            error_code: error.code(),
            error_message: Some(message.to_owned()),
            ..ControllerRegistrationResponse::default()
        }
    }

    fn error_of(response: &ControllerRegistrationResponse) -> i16 {
        response.error_code
    }
}
