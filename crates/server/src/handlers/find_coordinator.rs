//! FindCoordinator (key 10, v0–6): v1 adds the kind of key, v4 many keys at once (KIP-699), v6
//! share groups. Groups and transactions are not served yet: the answer is
//! COORDINATOR_NOT_AVAILABLE, which clients retry.

use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use crate::dispatch::{Handle, RequestContext};

const NOT_YET: &str =
    "This broker does not coordinate groups and transactions yet; assign partitions by hand.";

impl Handle for FindCoordinatorRequest {
    async fn handle(self, cx: &RequestContext) -> FindCoordinatorResponse {
        let error = ErrorCode::CoordinatorNotAvailable.code();
        if cx.version < 4 {
            return FindCoordinatorResponse {
                error_code: error,
                error_message: Some(NOT_YET.to_owned()),
                node_id: BrokerId::NONE.0,
                port: -1,
                ..FindCoordinatorResponse::default()
            };
        }
        let coordinators = self.coordinator_keys.into_iter().map(|key| Coordinator {
            key,
            node_id: BrokerId::NONE.0,
            host: String::new(),
            port: -1,
            error_code: error,
            error_message: Some(NOT_YET.to_owned()),
        });
        let coordinators = coordinators.collect();
        FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
    }
}
