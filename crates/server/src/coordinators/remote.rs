//! The way to other brokers: what coordinators, and those who ask them, send there.

use std::sync::Arc;

use kalda_model::BrokerId;
use kalda_protocol::{ErrorCode, Request};

use crate::broker::Broker;

/// Asks the broker `to`, once.
pub(crate) async fn ask<R: Request>(
    broker: &Arc<Broker>,
    to: BrokerId,
    request: &R,
) -> Result<R::Response, ErrorCode> {
    broker.peers.call(broker, to, request).await.map_err(|error| {
        tracing::debug!(%error, "broker {to} does not answer {:?}", R::KEY);
        ErrorCode::NetworkException
    })
}
