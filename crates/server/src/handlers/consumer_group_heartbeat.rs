//! ConsumerGroupHeartbeat (key 68, v0–1, KIP-848): a member of the newer protocol joins, lives, takes
//! over and gives up partitions, and leaves. In v0 the broker makes up its id, in v1 it does (KIP-1082).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for ConsumerGroupHeartbeatRequest {
    async fn handle(self, cx: &RequestContext) -> ConsumerGroupHeartbeatResponse {
        let group = self.group_id.clone();
        let request = GroupRequest::ConsumerGroupHeartbeat(self);
        match cx.broker.groups.ask(&cx.broker, &group, &caller(cx), request).await {
            Ok(GroupResponse::ConsumerGroupHeartbeat(response)) => response,
            Ok(_) => unreachable!("a shard answers what it was asked"),
            Err(error) => ConsumerGroupHeartbeatResponse {
                error_code: error.code(),
                error_message: Some(error.message().to_owned()),
                ..ConsumerGroupHeartbeatResponse::default()
            },
        }
    }
}
