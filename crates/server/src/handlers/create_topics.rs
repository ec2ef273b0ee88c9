//! CreateTopics (key 19, v0–7): v1 adds `validate_only`, v4 defaults for counts (KIP-464), v5 the
//! topic's settings in the answer (KIP-525), v7 its id. Decided by the controller. Counts of -1 mean
//! the defaults in every version, as Kafka's brokers take them: it is Kafka's own clients that do not
//! send them below v4, while others do.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for CreateTopicsRequest {
    async fn handle(self, cx: &RequestContext) -> CreateTopicsResponse {
        let names: Vec<_> = self.topics.iter().map(|topic| topic.name.clone()).collect();
        let decided =
            cx.broker.controller.decide(move |controller| controller.create_topics(&self));
        match decided.await {
            Ok(response) => response,
            Err(unavailable) => CreateTopicsResponse {
                topics: names
                    .into_iter()
                    .map(|name| failure(name, unavailable.code(), &unavailable.to_string()))
                    .collect(),
                ..CreateTopicsResponse::default()
            },
        }
    }
}

fn failure(name: String, error: ErrorCode, message: &str) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: error.code(),
        error_message: Some(message.to_owned()),
        ..CreatableTopicResult::default()
    }
}
