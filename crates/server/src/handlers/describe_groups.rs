//! DescribeGroups (key 15, v0–6): members and assignments of classic groups. v4 adds static members,
//! v6 an error for groups that do not exist (KIP-1043).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup,
};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for DescribeGroupsRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeGroupsResponse {
        let mut groups = Vec::with_capacity(self.groups.len());
        for id in self.groups {
            let request = GroupRequest::Describe(vec![id.clone()]);
            match cx.broker.groups.ask(&cx.broker, &id, &caller(cx), request).await {
                Ok(GroupResponse::Describe(described)) => groups.extend(described),
                Ok(_) => unreachable!("a shard answers what it was asked"),
                Err(error) => groups.push(DescribedGroup {
                    group_id: id,
                    error_code: error.code(),
                    ..DescribedGroup::default()
                }),
            }
        }
        DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
    }
}
