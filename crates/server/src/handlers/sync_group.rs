//! SyncGroup (key 14, v0–5): the leader hands in the assignments, everybody gets their own. v3 adds
//! static members (KIP-345), v5 the protocol that the member believes in (KIP-559).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for SyncGroupRequest {
    async fn handle(self, cx: &RequestContext) -> SyncGroupResponse {
        let group = self.group_id.clone();
        let request = GroupRequest::Sync(self);
        match cx.broker.groups.ask(&cx.broker, &group, &caller(cx), request).await {
            Ok(GroupResponse::Sync(response)) => response,
            Ok(_) => unreachable!("a shard answers what it was asked"),
            Err(error) => {
                SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() }
            }
        }
    }
}
