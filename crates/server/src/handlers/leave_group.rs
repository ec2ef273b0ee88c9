//! LeaveGroup (key 13, v0–5): members go. v3 takes several, by instance id too (KIP-345), v5 their
//! reasons (KIP-800).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for LeaveGroupRequest {
    async fn handle(self, cx: &RequestContext) -> LeaveGroupResponse {
        let group = self.group_id.clone();
        let request = GroupRequest::Leave(self);
        match cx.broker.groups.ask(&cx.broker, &group, &caller(cx), request).await {
            Ok(GroupResponse::Leave(response)) => response,
            Ok(_) => unreachable!("a shard answers what it was asked"),
            Err(error) => {
                LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() }
            }
        }
    }
}
