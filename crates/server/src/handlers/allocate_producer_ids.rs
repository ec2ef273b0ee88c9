//! AllocateProducerIds (key 67, v0, KIP-730): a block of producer ids for a broker.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::allocate_producer_ids::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for AllocateProducerIdsRequest {
    fn decide(
        &self,
        with: &mut Deciding<'_>,
        _version: i16,
    ) -> Decision<AllocateProducerIdsResponse> {
        with.controller.allocate_producer_ids(self)
    }

    fn refused(&self, error: ErrorCode, _message: &str) -> AllocateProducerIdsResponse {
        let error_code = error.code();
        AllocateProducerIdsResponse { error_code, ..AllocateProducerIdsResponse::default() }
    }

    fn error_of(response: &AllocateProducerIdsResponse) -> i16 {
        response.error_code
    }
}
