//! CreatePartitions (key 37, v0–3): more partitions for a topic. Decided by the controller.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};

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

    fn error_of(response: &CreatePartitionsResponse) -> i16 {
        response.results.first().map_or(0, |topic| topic.error_code)
    }
}
