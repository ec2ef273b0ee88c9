//! The records of consumer groups: between the stored messages and the changes that they are.

use bytes::Bytes;
use kalda_model::TopicId;
use kalda_protocol::stored::group as stored;
use kalda_protocol::stored::group::GroupKey;
use kalda_protocol::stored::group::consumer_group_current_member_assignment::TopicPartitions;
use kalda_protocol::stored::group::consumer_group_target_assignment_member::TopicPartition;

use super::state::{Change, Current, MemberState, Partitions, ResolvedRegex};
use crate::decision::CoordinatorRecord;
use crate::records::{ReplayError, decode_value, encode_value, record};

/// All values of consumer groups have one version.
const VERSION: i16 = 0;

pub(crate) fn consumer_record(group: &str, change: &Change) -> CoordinatorRecord {
    let group_id = group.to_owned();
    match change {
        Change::Epoch(value) => {
            let value = value.map(|(epoch, metadata_hash)| {
                let value = stored::ConsumerGroupMetadataValue { epoch, metadata_hash };
                encode_value(&value, VERSION)
            });
            record(&stored::ConsumerGroupMetadataKey { group_id }, value)
        }
        Change::Member(member, value) => {
            let key =
                stored::ConsumerGroupMemberMetadataKey { group_id, member_id: member.clone() };
            record(&key, value.as_ref().map(|value| encode_value(value, VERSION)))
        }
        Change::TargetEpoch(value) => {
            let value = value.map(|assignment_epoch| {
                let value = stored::ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch };
                encode_value(&value, VERSION)
            });
            record(&stored::ConsumerGroupTargetAssignmentMetadataKey { group_id }, value)
        }
        Change::Target(member, value) => {
            let member_id = member.clone();
            let key = stored::ConsumerGroupTargetAssignmentMemberKey { group_id, member_id };
            let value = value.as_ref().map(|partitions| {
                let topic_partitions = by_topic(partitions)
                    .map(|(topic_id, partitions)| TopicPartition { topic_id, partitions })
                    .collect();
                let value = stored::ConsumerGroupTargetAssignmentMemberValue { topic_partitions };
                encode_value(&value, VERSION)
            });
            record(&key, value)
        }
        Change::Current(member, value) => {
            let member_id = member.clone();
            let key = stored::ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id };
            record(&key, value.as_ref().map(encode_current))
        }
        Change::Regex(regex, value) => {
            let regular_expression = regex.clone();
            let key = stored::ConsumerGroupRegularExpressionKey { group_id, regular_expression };
            let value = value.as_ref().map(|resolved| {
                let value = stored::ConsumerGroupRegularExpressionValue {
                    topics: resolved.topics.iter().cloned().collect(),
                    version: resolved.version,
                    timestamp: resolved.timestamp_ms,
                };
                encode_value(&value, VERSION)
            });
            record(&key, value)
        }
    }
}

/// The change of a consumer group that the record is, with the group's id; `None` for other records.
pub(crate) fn decode_consumer(
    key: GroupKey,
    value: Option<&Bytes>,
) -> Result<Option<(String, Change)>, ReplayError> {
    let decoded = match key {
        GroupKey::ConsumerGroupMetadata(key) => {
            let value: Option<stored::ConsumerGroupMetadataValue> =
                decode_value(&key.group_id, value)?;
            (key.group_id, Change::Epoch(value.map(|value| (value.epoch, value.metadata_hash))))
        }
        GroupKey::ConsumerGroupMemberMetadata(key) => {
            let value = decode_value(&key.group_id, value)?;
            (key.group_id, Change::Member(key.member_id, value))
        }
        GroupKey::ConsumerGroupTargetAssignmentMetadata(key) => {
            let value: Option<stored::ConsumerGroupTargetAssignmentMetadataValue> =
                decode_value(&key.group_id, value)?;
            (key.group_id, Change::TargetEpoch(value.map(|value| value.assignment_epoch)))
        }
        GroupKey::ConsumerGroupTargetAssignmentMember(key) => {
            let value: Option<stored::ConsumerGroupTargetAssignmentMemberValue> =
                decode_value(&key.group_id, value)?;
            let target = value.map(|value| {
                let topics = value.topic_partitions.into_iter();
                flat(topics.map(|topic| (topic.topic_id, topic.partitions)))
            });
            (key.group_id, Change::Target(key.member_id, target))
        }
        GroupKey::ConsumerGroupCurrentMemberAssignment(key) => {
            let value: Option<stored::ConsumerGroupCurrentMemberAssignmentValue> =
                decode_value(&key.group_id, value)?;
            let current = value.map(|value| decode_current(&key.group_id, value)).transpose()?;
            (key.group_id, Change::Current(key.member_id, current))
        }
        GroupKey::ConsumerGroupRegularExpression(key) => {
            let value: Option<stored::ConsumerGroupRegularExpressionValue> =
                decode_value(&key.group_id, value)?;
            let resolved = value.map(|value| ResolvedRegex {
                topics: value.topics.into_iter().collect(),
                version: value.version,
                timestamp_ms: value.timestamp,
            });
            (key.group_id, Change::Regex(key.regular_expression, resolved))
        }
        _ => return Ok(None),
    };
    Ok(Some(decoded))
}

fn encode_current(current: &Current) -> Bytes {
    let topics = |partitions: &Partitions| {
        by_topic(partitions)
            .map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions })
            .collect()
    };
    let value = stored::ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: match current.state {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
        },
        assigned_partitions: topics(&current.assigned),
        partitions_pending_revocation: topics(&current.revoking),
    };
    encode_value(&value, VERSION)
}

fn decode_current(
    group: &str,
    value: stored::ConsumerGroupCurrentMemberAssignmentValue,
) -> Result<Current, ReplayError> {
    let topics = |topics: Vec<TopicPartitions>| {
        flat(topics.into_iter().map(|topic| (topic.topic_id, topic.partitions)))
    };
    Ok(Current {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: match value.state {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            state => return Err(ReplayError::MemberState { group: group.to_owned(), state }),
        },
        assigned: topics(value.assigned_partitions),
        revoking: topics(value.partitions_pending_revocation),
    })
}

fn by_topic(partitions: &Partitions) -> impl Iterator<Item = (TopicId, Vec<i32>)> {
    let mut topics: Vec<(TopicId, Vec<i32>)> = Vec::new();
    for (topic_id, partition) in partitions {
        match topics.last_mut().filter(|(last, _)| last == topic_id) {
            Some((_, indexes)) => indexes.push(*partition),
            None => topics.push((*topic_id, vec![*partition])),
        }
    }
    topics.into_iter()
}

fn flat(topics: impl Iterator<Item = (TopicId, Vec<i32>)>) -> Partitions {
    topics.flat_map(|(id, indexes)| indexes.into_iter().map(move |index| (id, index))).collect()
}
