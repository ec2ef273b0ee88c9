//! DeleteGroups (key 42, v0–2): forgets groups without members, and their offsets (KIP-229).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for DeleteGroupsRequest {
    async fn handle(self, cx: &RequestContext) -> DeleteGroupsResponse {
        let mut results = Vec::with_capacity(self.groups_names.len());
        for id in self.groups_names {
            let request = GroupRequest::Delete(vec![id.clone()]);
            match cx.broker.groups.ask(&cx.broker, &id, &caller(cx), request).await {
                Ok(GroupResponse::Delete(deleted)) => results.extend(deleted),
                Ok(_) => unreachable!("a shard answers what it was asked"),
                Err(error) => {
                    results.push(DeletableGroupResult { group_id: id, error_code: error.code() })
                }
            }
        }
        DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
    }
}
