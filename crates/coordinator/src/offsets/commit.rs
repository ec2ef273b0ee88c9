//! OffsetCommit and TxnOffsetCommit: which partitions are taken, and the records for them. The shard
//! has checked the membership of the caller before.

use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use kalda_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use kalda_protocol::stored::group::{OffsetCommitKey, OffsetCommitValue};

use crate::decision::{CoordinatorRecord, Turn};
use crate::records;

/// "None given", in timestamps and retentions on the wire.
const UNSET: i64 = -1;

/// What all partitions of one request share.
struct Commit<'a> {
    group: &'a str,
    /// Whether the caller may commit at all.
    checked: Result<(), ErrorCode>,
    /// `None` where the broker's retention holds.
    expire_timestamp_ms: Option<i64>,
}

/// One partition of either request.
struct PartitionCommit<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    timestamp_ms: i64,
    metadata: &'a str,
}

/// Answers for every partition, and adds a record for each that is in order.
pub(crate) fn commit(
    request: &OffsetCommitRequest,
    checked: Result<(), ErrorCode>,
    turn: &mut Turn<'_>,
) -> OffsetCommitResponse {
    let now_ms = turn.wall_ms();
    // Old clients send 0 for "the broker's", newer ones -1.
    let expire_timestamp_ms =
        (request.retention_time_ms > 0).then(|| now_ms.saturating_add(request.retention_time_ms));
    let common = Commit { group: &request.group_id, checked, expire_timestamp_ms };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let error_code = common.take(
                &PartitionCommit {
                    topic: &topic.name,
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    timestamp_ms: match partition.commit_timestamp {
                        UNSET => now_ms,
                        given => given,
                    },
                    metadata: partition.committed_metadata.as_deref().unwrap_or_default(),
                },
                turn,
            );
            partitions.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error_code.code(),
            });
        }
        topics.push(OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions,
        });
    }
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}

/// As [`commit`]; the caller appends the records as part of the producer's transaction.
pub(crate) fn txn_commit(
    request: &TxnOffsetCommitRequest,
    checked: Result<(), ErrorCode>,
    turn: &mut Turn<'_>,
) -> TxnOffsetCommitResponse {
    let now_ms = turn.wall_ms();
    let common = Commit { group: &request.group_id, checked, expire_timestamp_ms: None };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let error_code = common.take(
                &PartitionCommit {
                    topic: &topic.name,
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    timestamp_ms: now_ms,
                    metadata: partition.committed_metadata.as_deref().unwrap_or_default(),
                },
                turn,
            );
            partitions.push(TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error_code.code(),
            });
        }
        topics.push(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions });
    }
    TxnOffsetCommitResponse { topics, ..TxnOffsetCommitResponse::default() }
}

impl Commit<'_> {
    fn take(&self, commit: &PartitionCommit<'_>, turn: &mut Turn<'_>) -> ErrorCode {
        if let Err(error) = self.checked {
            return error;
        }
        if !exists(turn.cx.image, commit.topic, commit.partition) {
            return ErrorCode::UnknownTopicOrPartition;
        }
        let expiring_too_long =
            self.expire_timestamp_ms.is_some() && commit.metadata.len() > records::NAME_BYTES_MAX;
        let length = commit.metadata.encode_utf16().count();
        if length > turn.settings.offset_metadata_max_bytes || expiring_too_long {
            return ErrorCode::OffsetMetadataTooLarge;
        }
        turn.out.records.push(self.record(commit));
        ErrorCode::None
    }

    fn record(&self, commit: &PartitionCommit<'_>) -> CoordinatorRecord {
        let key = OffsetCommitKey {
            group: self.group.to_owned(),
            topic: commit.topic.to_owned(),
            partition: commit.partition,
        };
        let value = OffsetCommitValue {
            offset: commit.offset,
            leader_epoch: commit.leader_epoch,
            metadata: commit.metadata.to_owned(),
            commit_timestamp: commit.timestamp_ms,
            expire_timestamp: self.expire_timestamp_ms.unwrap_or(UNSET),
            ..OffsetCommitValue::default()
        };
        records::offset_record(&key, &value)
    }
}

fn exists(image: &Image, topic: &str, partition: i32) -> bool {
    image.topics.by_name(topic).is_some_and(|topic| topic.partitions.contains_key(&partition))
}
