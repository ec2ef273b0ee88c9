//! CreateTopics (key 19, v0–7): v1 adds `validate_only`, v4 defaults for counts (KIP-464), v5 the
//! topic's settings in the answer (KIP-525), v7 its id. Decided by the controller. Counts of -1 mean
//! the defaults in every version, as Kafka's brokers take them: it is Kafka's own clients that do not
//! send them below v4, while others do. Asked again after its answer was lost, it does not mind what it
//! has made itself.

use kalda_controller::Decision;
use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};

use crate::broker::Broker;
use crate::controlled::{Controlled, Deciding};

impl Controlled for CreateTopicsRequest {
    fn decide(&self, with: &mut Deciding<'_>, _version: i16) -> Decision<CreateTopicsResponse> {
        with.controller.create_topics(self)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> CreateTopicsResponse {
        let topics = self.topics.iter().map(|topic| CreatableTopicResult {
            name: topic.name.clone(),
            error_code: error.code(),
            error_message: Some(message.to_owned()),
            ..CreatableTopicResult::default()
        });
        let topics = topics.collect();
        CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
    }

    async fn settle(
        &self,
        mut response: CreateTopicsResponse,
        before: &Image,
        broker: &Broker,
    ) -> CreateTopicsResponse {
        let exists = ErrorCode::TopicAlreadyExists.code();
        let is_new = |name: &str| before.topics.by_name(name).is_none();
        let told = response.topics.iter();
        let refused = told.filter(|topic| topic.error_code == exists && is_new(&topic.name));
        let refused: Vec<_> = refused.map(|topic| topic.name.as_str()).collect();
        let seen = |image: &Image| refused.iter().all(|name| image.topics.by_name(name).is_some());
        broker.until_seen(seen).await;
        let image = broker.image();
        broker.controller_on(&image).settle_created_topics(self, &mut response, before);
        response
    }

    fn error_of(response: &CreateTopicsResponse) -> i16 {
        response.topics.first().map_or(0, |topic| topic.error_code)
    }
}
