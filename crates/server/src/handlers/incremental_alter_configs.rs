//! IncrementalAlterConfigs (key 44, v0–1, KIP-339): sets, deletes, appends to and subtracts from
//! single settings of a resource. Decided by the controller.

use kalda_protocol::messages::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for IncrementalAlterConfigsRequest {
    async fn handle(self, cx: &RequestContext) -> IncrementalAlterConfigsResponse {
        let resources = self.resources.iter();
        let names: Vec<_> = resources
            .map(|resource| (resource.resource_type, resource.resource_name.clone()))
            .collect();
        let decided = cx
            .broker
            .controller
            .decide(move |controller| controller.incremental_alter_configs(&self));
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
            IncrementalAlterConfigsResponse {
                responses,
                ..IncrementalAlterConfigsResponse::default()
            }
        })
    }
}
