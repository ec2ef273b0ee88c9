//! OffsetCommit (key 8, v1–9): how far a group has read. v1 carries a timestamp for each partition,
//! v2–4 a retention time, v6 leader epochs, v7 static members, v9 members of the newer protocol
//! (KIP-848).

use kalda_coordinator::{GroupRequest, GroupResponse};
use kalda_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

use super::group_caller::caller;
use crate::dispatch::{Handle, RequestContext};

impl Handle for OffsetCommitRequest {
    async fn handle(self, cx: &RequestContext) -> OffsetCommitResponse {
        let group = self.group_id.clone();
        let request = GroupRequest::OffsetCommit(self.clone());
        let error = match cx.broker.groups.ask(&cx.broker, &group, &caller(cx), request).await {
            Ok(GroupResponse::OffsetCommit(response)) => return response,
            Ok(_) => unreachable!("a shard answers what it was asked"),
            Err(error) => error,
        };
        let topics = self.topics.into_iter().map(|topic| OffsetCommitResponseTopic {
            partitions: topic
                .partitions
                .iter()
                .map(|partition| OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.code(),
                })
                .collect(),
            name: topic.name,
            topic_id: topic.topic_id,
        });
        OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
    }
}
