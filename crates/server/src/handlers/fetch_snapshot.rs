//! FetchSnapshot (key 59, v0–1): a piece of a snapshot of the metadata, for a replica that is too far
//! behind for the log (KIP-630).

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::fetch_snapshot::{FetchSnapshotRequest, FetchSnapshotResponse};

use crate::dispatch::{Handle, RequestContext};
use crate::quorum::wire::{check_cluster, snapshot_request, snapshot_response};

impl Handle for FetchSnapshotRequest {
    async fn handle(self, cx: &RequestContext) -> FetchSnapshotResponse {
        let failed = |error: ErrorCode| FetchSnapshotResponse {
            error_code: error.code(),
            ..FetchSnapshotResponse::default()
        };
        let request = check_cluster(&cx.broker, self.cluster_id.as_ref())
            .and_then(|()| snapshot_request(&self));
        let request = match request {
            Ok(request) => request,
            Err(error) => return failed(error),
        };
        match cx.broker.quorum.ask(request).await {
            Some(asked) => snapshot_response(asked, self.max_bytes),
            None => failed(ErrorCode::BrokerNotAvailable),
        }
    }
}
