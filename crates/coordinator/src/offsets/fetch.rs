//! OffsetFetch of one group: all its offsets or those of named partitions.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
};

use super::{CommittedOffset, OffsetStore};

const NO_OFFSET: i64 = -1;
const NO_LEADER_EPOCH: i32 = -1;

/// Reads the offsets. A partition without one is no error; with `require_stable`, one that an open
/// transaction is about to move is.
pub(crate) fn fetch(
    store: &OffsetStore,
    request: &OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let group = request.group_id.as_str();
    let read = |topic: &str, partition: i32, committed: Option<&CommittedOffset>| {
        if require_stable && store.is_pending(group, topic, partition) {
            return without_offset(partition, ErrorCode::UnstableOffsetCommit);
        }
        match committed {
            Some(committed) => OffsetFetchResponsePartitions {
                partition_index: partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                metadata: Some(committed.metadata.clone()),
                error_code: ErrorCode::None.code(),
            },
            None => without_offset(partition, ErrorCode::None),
        }
    };
    let topics = match &request.topics {
        Some(topics) => topics
            .iter()
            .map(|topic| OffsetFetchResponseTopics {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: topic
                    .partition_indexes
                    .iter()
                    .map(|&index| read(&topic.name, index, store.find(group, &topic.name, index)))
                    .collect(),
            })
            .collect(),
        None => store
            .of_group(group)
            .into_iter()
            .flatten()
            .map(|(topic, partitions)| OffsetFetchResponseTopics {
                name: topic.clone(),
                partitions: partitions
                    .iter()
                    .map(|(&index, committed)| read(topic, index, Some(committed)))
                    .collect(),
                ..OffsetFetchResponseTopics::default()
            })
            .collect(),
    };
    OffsetFetchResponseGroup {
        group_id: request.group_id.clone(),
        topics,
        error_code: ErrorCode::None.code(),
    }
}

fn without_offset(partition_index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: NO_OFFSET,
        committed_leader_epoch: NO_LEADER_EPOCH,
        metadata: Some(String::new()),
        error_code: error.code(),
    }
}
