//! CreatePartitions (key 37, v0–3): more partitions for a topic. Decided by the controller.

use kalda_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for CreatePartitionsRequest {
    async fn handle(self, cx: &RequestContext) -> CreatePartitionsResponse {
        let names: Vec<_> = self.topics.iter().map(|topic| topic.name.clone()).collect();
        let decided =
            cx.broker.controller.decide(move |controller| controller.create_partitions(&self));
        decided.await.unwrap_or_else(|unavailable| {
            let results = names.into_iter().map(|name| CreatePartitionsTopicResult {
                name,
                error_code: unavailable.code().code(),
                error_message: Some(unavailable.to_string()),
            });
            let results = results.collect();
            CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
        })
    }
}
