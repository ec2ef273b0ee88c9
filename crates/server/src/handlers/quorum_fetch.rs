//! Fetch (key 1) as controllers serve it: the metadata log, for voters and for brokers (KIP-595).

use bytes::{Bytes, BytesMut};
use kalda_model::BrokerEpoch;
use kalda_protocol::messages::fetch::{FetchRequest, FetchResponse};
use kalda_protocol::{ErrorCode, Message as _};
use kalda_raft::quorum::Request;

use crate::dispatch::{Refusal, RequestContext};
use crate::quorum::wire::{check_cluster, fetch_request, fetch_response};

/// Answers a fetch that came in on a listener of the controllers.
pub(crate) async fn serve(
    cx: RequestContext,
    mut body: Bytes,
    mut out: BytesMut,
) -> Result<BytesMut, Refusal> {
    let request = FetchRequest::decode(&mut body, cx.version)?;
    let response = answer(&request, &cx).await;
    out.reserve(response.size(cx.version));
    response.encode(&mut out, cx.version)?;
    Ok(out)
}

async fn answer(request: &FetchRequest, cx: &RequestContext) -> FetchResponse {
    let failed =
        |error: ErrorCode| FetchResponse { error_code: error.code(), ..FetchResponse::default() };
    if let Err(error) = check_cluster(&cx.broker, request.cluster_id.as_ref()) {
        return failed(error);
    }
    let Some(wanted) = fetch_request(request, cx.version) else {
        return failed(ErrorCode::UnknownTopicOrPartition);
    };
    if let Request::Fetch(fetch) = &wanted {
        // Every node follows the metadata: when this connection breaks it is looked for.
        cx.peer.speaks_for((fetch.replica.id, BrokerEpoch(-1)));
    }
    match cx.broker.quorum.ask(wanted).await {
        Some(asked) => fetch_response(asked),
        None => failed(ErrorCode::BrokerNotAvailable),
    }
}
