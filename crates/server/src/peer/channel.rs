//! To the active controller.

use std::sync::Arc;

use kalda_protocol::Request;

use super::PeerError;
use crate::broker::Broker;

/// The connection to the active controller.
#[derive(Debug, Default)]
pub(crate) struct ControllerChannel;

impl ControllerChannel {
    /// Has the active controller decide a request of this node's own.
    pub(crate) async fn call<R: Request>(
        &self,
        _broker: &Arc<Broker>,
        _request: &R,
    ) -> Result<R::Response, PeerError> {
        Err(PeerError::NoController)
    }
}
