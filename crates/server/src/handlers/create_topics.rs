//! CreateTopics (key 19, v0–7): v1 adds `validate_only`, v4 defaults for counts (KIP-464), v5 the
//! topic's settings in the answer (KIP-525), v7 its id. Decided by the controller.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for CreateTopicsRequest {
    async fn handle(self, cx: &RequestContext) -> CreateTopicsResponse {
        let (allowed, refused): (Vec<_>, Vec<_>) =
            self.topics.iter().cloned().partition(|topic| counts_are_given(topic, cx.version));
        let names: Vec<_> = allowed.iter().map(|topic| topic.name.clone()).collect();
        let request = Self { topics: allowed, ..self };
        let decided =
            cx.broker.controller.decide(move |controller| controller.create_topics(&request));
        let mut response = match decided.await {
            Ok(response) => response,
            Err(unavailable) => CreateTopicsResponse {
                topics: names
                    .into_iter()
                    .map(|name| failure(name, unavailable.code(), &unavailable.to_string()))
                    .collect(),
                ..CreateTopicsResponse::default()
            },
        };
        let text =
            "Partition count and replication factor must be given: defaults need CreateTopics v4.";
        response.topics.extend(
            refused.into_iter().map(|topic| failure(topic.name, ErrorCode::InvalidRequest, text)),
        );
        response
    }
}

fn counts_are_given(topic: &CreatableTopic, version: i16) -> bool {
    let defaulted = topic.num_partitions == -1 || topic.replication_factor == -1;
    version >= 4 || !topic.assignments.is_empty() || !defaulted
}

fn failure(name: String, error: ErrorCode, message: &str) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: error.code(),
        error_message: Some(message.to_owned()),
        ..CreatableTopicResult::default()
    }
}
