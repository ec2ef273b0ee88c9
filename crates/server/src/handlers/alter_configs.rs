//! AlterConfigs (key 33, v0–2): replaces all settings of a resource. Decided by the controller;
//! newer clients send IncrementalAlterConfigs.

use kalda_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for AlterConfigsRequest {
    async fn handle(self, cx: &RequestContext) -> AlterConfigsResponse {
        let resources = self.resources.iter();
        let names: Vec<_> = resources
            .map(|resource| (resource.resource_type, resource.resource_name.clone()))
            .collect();
        let decided =
            cx.broker.controller.decide(move |controller| controller.alter_configs(&self));
        decided.await.unwrap_or_else(|unavailable| {
            let responses = names.into_iter().map(|(resource_type, resource_name)| {
                AlterConfigsResourceResponse {
                    error_code: unavailable.code().code(),
                    error_message: Some(unavailable.to_string()),
                    resource_type,
                    resource_name,
                }
            });
            let responses = responses.collect();
            AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
        })
    }
}
