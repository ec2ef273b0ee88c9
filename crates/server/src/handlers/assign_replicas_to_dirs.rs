//! AssignReplicasToDirs (key 73, v0, KIP-858): in which of its log directories a broker keeps a replica.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::assign_replicas_to_dirs::{
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for AssignReplicasToDirsRequest {
    fn decide(
        &self,
        with: &mut Deciding<'_>,
        _version: i16,
    ) -> Decision<AssignReplicasToDirsResponse> {
        with.controller.assign_replicas_to_dirs(self)
    }

    fn refused(&self, error: ErrorCode, _message: &str) -> AssignReplicasToDirsResponse {
        let error_code = error.code();
        AssignReplicasToDirsResponse { error_code, ..AssignReplicasToDirsResponse::default() }
    }

    fn error_of(response: &AssignReplicasToDirsResponse) -> i16 {
        response.error_code
    }
}
