//! ListPartitionReassignments (key 46, v0, KIP-455): the replicas that are on their way.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for ListPartitionReassignmentsRequest {
    fn decide(
        &self,
        with: &mut Deciding<'_>,
        _version: i16,
    ) -> Decision<ListPartitionReassignmentsResponse> {
        let response = with.controller.list_partition_reassignments(self);
        Decision { records: Vec::new(), response }
    }

    fn refused(&self, error: ErrorCode, message: &str) -> ListPartitionReassignmentsResponse {
        ListPartitionReassignmentsResponse {
            error_code: error.code(),
            error_message: Some(message.to_owned()),
            ..ListPartitionReassignmentsResponse::default()
        }
    }

    fn error_of(response: &ListPartitionReassignmentsResponse) -> i16 {
        response.error_code
    }
}
