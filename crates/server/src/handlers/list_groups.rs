//! ListGroups (key 16, v0–5): the groups of this broker. v4 filters by state (KIP-518), v5 by type
//! (KIP-848).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for ListGroupsRequest {
    async fn handle(self, cx: &RequestContext) -> ListGroupsResponse {
        let request = GroupRequest::List { states: self.states_filter, types: self.types_filter };
        let mut groups = Vec::new();
        let mut error = ErrorCode::None;
        for answer in cx.broker.groups.ask_all(&cx.broker, &caller(cx), &request).await {
            let listed = answer.and_then(|answer| match answer {
                GroupResponse::List(listed) => listed,
                _ => unreachable!("a shard answers what it was asked"),
            });
            match listed {
                Ok(listed) => groups.extend(listed),
                // Its groups are another broker's by now, which is asked too.
                Err(ErrorCode::NotCoordinator) => {}
                Err(failed) => error = failed,
            }
        }
        ListGroupsResponse { error_code: error.code(), groups, ..ListGroupsResponse::default() }
    }
}
