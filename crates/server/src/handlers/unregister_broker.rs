//! UnregisterBroker (key 64, v0): takes a broker that is gone for good out of the cluster.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::unregister_broker::{
    UnregisterBrokerRequest, UnregisterBrokerResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for UnregisterBrokerRequest {
    fn decide(&self, with: &mut Deciding<'_>, _version: i16) -> Decision<UnregisterBrokerResponse> {
        with.controller.unregister_broker(self)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> UnregisterBrokerResponse {
        UnregisterBrokerResponse {
            error_code: error.code(),
            error_message: Some(message.to_owned()),
            ..UnregisterBrokerResponse::default()
        }
    }

    fn error_of(response: &UnregisterBrokerResponse) -> i16 {
        response.error_code
    }
}
