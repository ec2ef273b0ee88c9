//! Envelope (key 58, v0, KIP-590): a broker passes on what a client asked it for.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::envelope::{EnvelopeRequest, EnvelopeResponse};

use crate::dispatch::{Handle, RequestContext, serve_forwarded};
use crate::peer::Active;

impl Handle for EnvelopeRequest {
    async fn handle(self, cx: &RequestContext) -> EnvelopeResponse {
        let failed =
            |error: ErrorCode| EnvelopeResponse { response_data: None, error_code: error.code() };
        if !matches!(cx.broker.active_controller.get(), Active::Here(_)) {
            return failed(ErrorCode::NotController);
        }
        match serve_forwarded(cx, self.request_data).await {
            Ok(bytes) => {
                EnvelopeResponse { response_data: Some(bytes), error_code: ErrorCode::None.code() }
            }
            Err(error) => failed(error),
        }
    }
}
