//! BrokerRegistration (key 62, v0–4): a broker begins a life.

use kalda_controller::Decision;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse,
};

use crate::controlled::{Controlled, Deciding};

impl Controlled for BrokerRegistrationRequest {
    fn decide(
        &self,
        with: &mut Deciding<'_>,
        _version: i16,
    ) -> Decision<BrokerRegistrationResponse> {
        let refusal =
            with.controller.registration_refusal(self, with.sessions, with.cluster_id, with.now_ms);
        let decision = with.controller.register_broker(
            self,
            with.sessions,
            with.cluster_id,
            with.next_offset,
            with.now_ms,
        );
        match refusal {
            // It asks again and again, and says so itself.
            Some(refusal)
                if decision.response.error_code
                    == ErrorCode::DuplicateBrokerRegistration.code() =>
            {
                tracing::debug!("broker {} is not registered: {refusal}", self.broker_id);
            }
            Some(refusal) => {
                tracing::warn!("broker {} is not registered: {refusal}", self.broker_id);
            }
            None => {}
        }
        decision
    }

    fn refused(&self, error: ErrorCode, _message: &str) -> BrokerRegistrationResponse {
        let error_code = error.code();
        BrokerRegistrationResponse { error_code, ..BrokerRegistrationResponse::default() }
    }

    fn error_of(response: &BrokerRegistrationResponse) -> i16 {
        response.error_code
    }
}
