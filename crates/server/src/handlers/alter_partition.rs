//! AlterPartition (key 56, v2–3, KIP-497): a leader's wish for another ISR.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_partition::{AlterPartitionRequest, AlterPartitionResponse};

use crate::controlled::{Controlled, Deciding};

impl Controlled for AlterPartitionRequest {
    fn decide(&self, with: &mut Deciding<'_>, version: i16) -> Decision<AlterPartitionResponse> {
        with.controller.alter_partition(self, version)
    }

    fn refused(&self, error: ErrorCode, _message: &str) -> AlterPartitionResponse {
        let error_code = error.code();
        AlterPartitionResponse { error_code, ..AlterPartitionResponse::default() }
    }

    fn error_of(response: &AlterPartitionResponse) -> i16 {
        response.error_code
    }
}
