//! JoinGroup (key 11, v0–9): a member enters a group or takes part in its next generation. v4 asks
//! newcomers to come again with their id (KIP-394), v5 adds static members (KIP-345).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::join_group::{JoinGroupRequest, JoinGroupResponse};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for JoinGroupRequest {
    async fn handle(self, cx: &RequestContext) -> JoinGroupResponse {
        let group = self.group_id.clone();
        let request = GroupRequest::Join(self);
        match cx.broker.groups.ask(&cx.broker, &group, &caller(cx), request).await {
            Ok(GroupResponse::Join(response)) => response,
            Ok(_) => unreachable!("a shard answers what it was asked"),
            Err(error) => {
                JoinGroupResponse { error_code: error.code(), ..JoinGroupResponse::default() }
            }
        }
    }
}
