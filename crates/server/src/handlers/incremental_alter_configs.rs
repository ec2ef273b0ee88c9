//! IncrementalAlterConfigs (key 44, v0–1, KIP-339): sets, deletes, appends to and subtracts from
//! single settings of a resource. Decided by the controller.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for IncrementalAlterConfigsRequest {
    fn decide(
        &self,
        with: &mut Deciding<'_>,
        _version: i16,
    ) -> Decision<IncrementalAlterConfigsResponse> {
        with.controller.incremental_alter_configs(self)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> IncrementalAlterConfigsResponse {
        let responses = self.resources.iter().map(|resource| AlterConfigsResourceResponse {
            error_code: error.code(),
            error_message: Some(message.to_owned()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        });
        let responses = responses.collect();
        IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
    }

    fn error_of(response: &IncrementalAlterConfigsResponse) -> i16 {
        response.responses.first().map_or(0, |resource| resource.error_code)
    }
}
