//! OffsetDelete (key 47, v0, KIP-496): forgets committed offsets of topics that the group does not
//! read any more.

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for OffsetDeleteRequest {
    async fn handle(self, cx: &RequestContext) -> OffsetDeleteResponse {
        let group = self.group_id.clone();
        let request = GroupRequest::OffsetDelete(self);
        match cx.broker.groups.ask(&cx.broker, &group, &caller(cx), request).await {
            Ok(GroupResponse::OffsetDelete(response)) => response,
            Ok(_) => unreachable!("a shard answers what it was asked"),
            Err(error) => {
                OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() }
            }
        }
    }
}
