//! Who asks, as groups remember it.

use kalda_coordinator::Caller;

use crate::dispatch::RequestContext;

/// The caller of a request, its address written as Java writes it.
pub(crate) fn caller(cx: &RequestContext) -> Caller {
    Caller {
        client_id: cx.client_id.clone().unwrap_or_default(),
        client_host: format!("/{}", cx.peer.remote.ip().to_canonical()),
        api_version: cx.version,
    }
}
