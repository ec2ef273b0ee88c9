//! BrokerHeartbeat (key 63, v0–1): a broker is alive, and says what it wants to be.

use kalda_controller::Decision;
use kalda_model::{BrokerEpoch, BrokerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use crate::controlled::{Controlled, Deciding};

impl Controlled for BrokerHeartbeatRequest {
    fn decide(&self, with: &mut Deciding<'_>, _version: i16) -> Decision<BrokerHeartbeatResponse> {
        with.controller.broker_heartbeat(self, with.sessions, with.now_ms)
    }

    fn refused(&self, error: ErrorCode, _message: &str) -> BrokerHeartbeatResponse {
        let error_code = error.code();
        BrokerHeartbeatResponse { error_code, ..BrokerHeartbeatResponse::default() }
    }

    fn error_of(response: &BrokerHeartbeatResponse) -> i16 {
        response.error_code
    }

    fn speaker(&self) -> Option<(BrokerId, BrokerEpoch)> {
        Some((BrokerId(self.broker_id), BrokerEpoch(self.broker_epoch)))
    }
}
