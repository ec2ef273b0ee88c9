//! DeleteTopics (key 20, v0–6): v5 adds error texts, v6 deletion by id (KIP-516). Decided by the
//! controller.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for DeleteTopicsRequest {
    async fn handle(self, cx: &RequestContext) -> DeleteTopicsResponse {
        let by_name = self.topic_names.iter().map(|name| (Some(name.clone()), Default::default()));
        let by_id = self.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
        let wanted: Vec<_> = by_name.chain(by_id).collect();
        let refuse = |error: ErrorCode, text: String| {
            let responses = wanted.iter().map(|(name, topic_id)| DeletableTopicResult {
                name: name.clone(),
                topic_id: *topic_id,
                error_code: error.code(),
                error_message: Some(text.clone()),
            });
            let responses = responses.collect();
            DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
        };
        if !cx.broker.config.flag("delete.topic.enable") {
            let error = if cx.version < 3 {
                ErrorCode::InvalidRequest
            } else {
                ErrorCode::TopicDeletionDisabled
            };
            return refuse(error, error.message().to_owned());
        }
        let decided =
            cx.broker.controller.decide(move |controller| controller.delete_topics(&self));
        match decided.await {
            Ok(response) => response,
            Err(unavailable) => refuse(unavailable.code(), unavailable.to_string()),
        }
    }
}
