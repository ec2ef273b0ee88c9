//! Heartbeat (key 12, v0–4): a member lives, and hears whether its group rebalances. v3 adds static
//! members (KIP-345).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for HeartbeatRequest {
    async fn handle(self, cx: &RequestContext) -> HeartbeatResponse {
        let group = self.group_id.clone();
        let request = GroupRequest::Heartbeat(self);
        match cx.broker.groups.ask(&cx.broker, &group, &caller(cx), request).await {
            Ok(GroupResponse::Heartbeat(response)) => response,
            Ok(_) => unreachable!("a shard answers what it was asked"),
            Err(error) => {
                HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() }
            }
        }
    }
}
