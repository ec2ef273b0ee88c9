//! OffsetDelete: takes offsets of single partitions away from a group that does not read them.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::OffsetStore;
use crate::decision::Turn;
use crate::records;

/// Answers for every partition, and adds a tombstone for each offset that there is.
/// `subscribed` tells whether members of the group read a topic.
pub(crate) fn delete(
    store: &OffsetStore,
    request: &OffsetDeleteRequest,
    subscribed: impl Fn(&str) -> bool,
    turn: &mut Turn<'_>,
) -> OffsetDeleteResponse {
    let group = request.group_id.as_str();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let error = if turn.cx.image.topics.by_name(&topic.name).is_none() {
            ErrorCode::UnknownTopicOrPartition
        } else if subscribed(&topic.name) {
            ErrorCode::GroupSubscribedToTopic
        } else {
            ErrorCode::None
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let there = store.find(group, &topic.name, index).is_some()
                || store.is_pending(group, &topic.name, index);
            if there && error == ErrorCode::None {
                turn.out.records.push(records::offset_tombstone(group, &topic.name, index));
            }
            partitions.push(OffsetDeleteResponsePartition {
                partition_index: index,
                error_code: error.code(),
            });
        }
        topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions });
    }
    OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() }
}
