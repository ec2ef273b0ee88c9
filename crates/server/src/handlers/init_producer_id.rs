//! InitProducerId (key 22, v0–5): an id for an idempotent producer; v3 lets it bump its epoch
//! (KIP-360). Transactional producers are refused with a retriable answer until transactions are
//! served.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use crate::dispatch::{Handle, RequestContext};

impl Handle for InitProducerIdRequest {
    async fn handle(self, cx: &RequestContext) -> InitProducerIdResponse {
        let failure = |error: ErrorCode| InitProducerIdResponse {
            error_code: error.code(),
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        };
        match self.transactional_id.as_deref() {
            Some("") => return failure(ErrorCode::InvalidRequest),
            Some(_) => return failure(ErrorCode::CoordinatorNotAvailable),
            None => {}
        }
        // Without a transactional id there is nothing to fence: a producer that lost its sequence
        // simply gets a new id, as in Kafka.
        match cx.broker.producer_ids.next(&cx.broker).await {
            Ok(id) => InitProducerIdResponse {
                producer_id: id.0,
                producer_epoch: 0,
                ..InitProducerIdResponse::default()
            },
            Err(unavailable) => failure(unavailable.code()),
        }
    }
}
