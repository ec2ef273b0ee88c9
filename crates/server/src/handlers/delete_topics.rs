//! DeleteTopics (key 20, v0–6): v5 adds error texts, v6 deletion by id (KIP-516). Decided by the
//! controller.

use kalda_controller::Decision;
use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};

use crate::broker::Broker;
use crate::controlled::{Controlled, Deciding};

impl Controlled for DeleteTopicsRequest {
    fn decide(&self, with: &mut Deciding<'_>, version: i16) -> Decision<DeleteTopicsResponse> {
        let is_disabled = with.controller.static_config.get("delete.topic.enable");
        if is_disabled.is_some_and(|value| value.trim().eq_ignore_ascii_case("false")) {
            let error = if version < 3 {
                ErrorCode::InvalidRequest
            } else {
                ErrorCode::TopicDeletionDisabled
            };
            let response = self.refused(error, error.message());
            return Decision { records: Vec::new(), response };
        }
        with.controller.delete_topics(self)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> DeleteTopicsResponse {
        let by_name = self.topic_names.iter().map(|name| (Some(name.clone()), Default::default()));
        let by_id = self.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
        let responses = by_name.chain(by_id).map(|(name, topic_id)| DeletableTopicResult {
            name,
            topic_id,
            error_code: error.code(),
            error_message: Some(message.to_owned()),
        });
        let responses = responses.collect();
        DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
    }

    async fn settle(
        &self,
        mut response: DeleteTopicsResponse,
        before: &Image,
        _broker: &Broker,
    ) -> DeleteTopicsResponse {
        let unknown = [ErrorCode::UnknownTopicOrPartition, ErrorCode::UnknownTopicId];
        for told in &mut response.responses {
            let by_name = told.name.as_deref().and_then(|name| before.topics.by_name(name));
            let was_there = by_name.or(before.topics.by_id(told.topic_id));
            if let Some(topic) = was_there
                && unknown.iter().any(|error| error.code() == told.error_code)
            {
                // Whoever deleted it, it is gone as was asked.
                *told = DeletableTopicResult {
                    name: Some(topic.name.to_string()),
                    topic_id: topic.id,
                    ..DeletableTopicResult::default()
                };
            }
        }
        response
    }

    fn error_of(response: &DeleteTopicsResponse) -> i16 {
        response.responses.first().map_or(0, |topic| topic.error_code)
    }
}
