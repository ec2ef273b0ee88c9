//! CreatePartitions (key 37, v0–3): more partitions for a topic. Decided by the controller.

use kalda_controller::Decision;
use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use crate::broker::Broker;
use crate::controlled::{Controlled, Deciding};

impl Controlled for CreatePartitionsRequest {
    fn decide(&self, with: &mut Deciding<'_>, _version: i16) -> Decision<CreatePartitionsResponse> {
        with.controller.create_partitions(self)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> CreatePartitionsResponse {
        let results = self.topics.iter().map(|topic| CreatePartitionsTopicResult {
            name: topic.name.clone(),
            error_code: error.code(),
            error_message: Some(message.to_owned()),
        });
        let results = results.collect();
        CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
    }

    async fn settle(
        &self,
        mut response: CreatePartitionsResponse,
        before: &Image,
        broker: &Broker,
    ) -> CreatePartitionsResponse {
        let count = |image: &Image, name: &str| {
            image.topics.by_name(name).map(|topic| topic.partitions.len())
        };
        for told in &mut response.results {
            let asked = self.topics.iter().find(|topic| topic.name == told.name);
            let wanted = asked.and_then(|topic| usize::try_from(topic.count).ok());
            let Some(wanted) = wanted.filter(|_| !self.validate_only) else { continue };
            let had_fewer = count(before, &told.name).is_some_and(|had| had < wanted);
            if told.error_code != ErrorCode::InvalidPartitions.code() || !had_fewer {
                continue;
            }
            let has_them = |image: &Image| count(image, &told.name) == Some(wanted);
            broker.until_seen(has_them).await;
            if has_them(&broker.image()) {
                told.error_code = ErrorCode::None.code();
                told.error_message = None;
            }
        }
        response
    }

    fn error_of(response: &CreatePartitionsResponse) -> i16 {
        response.results.first().map_or(0, |topic| topic.error_code)
    }
}
