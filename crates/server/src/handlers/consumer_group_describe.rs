//! ConsumerGroupDescribe (key 69, v0–1, KIP-848): members, epochs and assignments of groups of the
//! newer protocol. v1 tells which members still speak the older one.

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for ConsumerGroupDescribeRequest {
    async fn handle(self, cx: &RequestContext) -> ConsumerGroupDescribeResponse {
        let mut groups = Vec::with_capacity(self.group_ids.len());
        for id in self.group_ids {
            let request = GroupRequest::ConsumerGroupDescribe(vec![id.clone()]);
            match cx.broker.groups.ask(&cx.broker, &id, &caller(cx), request).await {
                Ok(GroupResponse::ConsumerGroupDescribe(described)) => groups.extend(described),
                Ok(_) => unreachable!("a shard answers what it was asked"),
                Err(error) => groups.push(DescribedGroup {
                    group_id: id,
                    error_code: error.code(),
                    error_message: Some(error.message().to_owned()),
                    ..DescribedGroup::default()
                }),
            }
        }
        ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() }
    }
}
