//! AlterPartitionReassignments (key 45, v0–1, KIP-455): moves replicas to other brokers, or calls that off.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for AlterPartitionReassignmentsRequest {
    fn decide(
        &self,
        with: &mut Deciding<'_>,
        _version: i16,
    ) -> Decision<AlterPartitionReassignmentsResponse> {
        with.controller.alter_partition_reassignments(self)
    }

    fn refused(&self, error: ErrorCode, message: &str) -> AlterPartitionReassignmentsResponse {
        AlterPartitionReassignmentsResponse {
            error_code: error.code(),
            error_message: Some(message.to_owned()),
            ..AlterPartitionReassignmentsResponse::default()
        }
    }

    fn error_of(response: &AlterPartitionReassignmentsResponse) -> i16 {
        response.error_code
    }
}
