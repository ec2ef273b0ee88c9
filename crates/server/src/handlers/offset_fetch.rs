//! OffsetFetch (key 9, v1–9): committed offsets. v2 gives all of a group for null topics, v7 can
//! insist on stable ones (KIP-447), v8 asks for many groups (KIP-709), v9 names the member (KIP-848).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

/// First version that asks for many groups.
const MANY_GROUPS: i16 = 8;

impl Handle for OffsetFetchRequest {
    async fn handle(self, cx: &RequestContext) -> OffsetFetchResponse {
        if cx.version >= MANY_GROUPS {
            let mut groups = Vec::with_capacity(self.groups.len());
            for group in self.groups {
                groups.push(fetch(cx, group, self.require_stable).await);
            }
            return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
        }
        let topics = self.topics.map(|topics| {
            let renamed = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..OffsetFetchRequestTopics::default()
            });
            renamed.collect()
        });
        let group = OffsetFetchRequestGroup {
            group_id: self.group_id,
            topics,
            ..OffsetFetchRequestGroup::default()
        };
        let found = fetch(cx, group, self.require_stable).await;
        OffsetFetchResponse {
            error_code: found.error_code,
            topics: found.topics.into_iter().map(older_form).collect(),
            ..OffsetFetchResponse::default()
        }
    }
}

async fn fetch(
    cx: &RequestContext,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let id = group.group_id.clone();
    let request = GroupRequest::OffsetFetch { group, require_stable };
    let answer = async {
        cx.broker.groups.confirm_reign(&cx.broker, &id).await?;
        cx.broker.groups.ask(&cx.broker, &id, &caller(cx), request).await
    };
    match answer.await {
        Ok(GroupResponse::OffsetFetch(response)) => response,
        Ok(_) => unreachable!("a shard answers what it was asked"),
        Err(error) => OffsetFetchResponseGroup {
            group_id: id,
            error_code: error.code(),
            ..OffsetFetchResponseGroup::default()
        },
    }
}

fn older_form(
    topic: kalda_protocol::messages::offset_fetch::OffsetFetchResponseTopics,
) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    });
    OffsetFetchResponseTopic { partitions: partitions.collect(), name: topic.name }
}
