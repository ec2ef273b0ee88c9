//! AlterConfigs (key 33, v0–2): replaces all settings of a resource. Decided by the controller;
//! newer clients send IncrementalAlterConfigs.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for AlterConfigsRequest {
    fn decide(&self, with: &mut Deciding<'_>, _version: i16) -> Decision<AlterConfigsResponse> {
        with.controller.alter_configs(self)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> AlterConfigsResponse {
        let responses = self.resources.iter().map(|resource| AlterConfigsResourceResponse {
            error_code: error.code(),
            error_message: Some(message.to_owned()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        });
        let responses = responses.collect();
        AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
    }

    fn error_of(response: &AlterConfigsResponse) -> i16 {
        response.responses.first().map_or(0, |resource| resource.error_code)
    }
}
