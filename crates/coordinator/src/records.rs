//! The records of `__consumer_offsets`, written and read. Called by the handlers, who write, and by
//! the shard's replay, which reads. Versions are those of Kafka 4.1.

use bytes::Bytes;
use kalda_protocol::stored::encode_versioned;
use kalda_protocol::stored::group::{
    GroupKey, GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitValue, OffsetCommitKey,
    OffsetCommitValue,
};
use kalda_protocol::stored::{CoordinatorRecord as StoredKey, decode_versioned, encode_key};
use kalda_protocol::{DecodeError, Message};

use crate::decision::CoordinatorRecord;

/// The longest name in a record: its length is an `i16`. Names are held to it where they enter.
pub(crate) const NAME_BYTES_MAX: usize = i16::MAX as usize;

/// Kafka 4.1 writes this one, so that older brokers can still read it.
const GROUP_METADATA_VERSION: i16 = 3;
/// The newest layout of an offset.
const OFFSET_COMMIT_VERSION: i16 = 4;
/// The only layout of an offset that carries its own expiry.
const OFFSET_COMMIT_EXPIRING_VERSION: i16 = 1;

/// A record that this coordinator cannot take: the log is damaged, or newer than this broker.
/// Loading stops at it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReplayError {
    #[error("the key of the record does not decode: {0}")]
    Key(DecodeError),
    #[error("the value of the record of group {group} does not decode: {error}")]
    Value { group: String, error: DecodeError },
    #[error("group {group} holds a name of more than {NAME_BYTES_MAX} bytes")]
    NameTooLong { group: String },
}

/// A record that matters to this coordinator.
#[derive(Debug)]
pub(crate) enum Replayed {
    Offset {
        key: OffsetCommitKey,
        value: Option<OffsetCommitValue>,
    },
    Group {
        group: String,
        value: Option<GroupMetadataValue>,
    },
    /// Of a type that this coordinator does without.
    Skipped,
}

pub(crate) fn decode(record: &CoordinatorRecord) -> Result<Replayed, ReplayError> {
    match GroupKey::decode(record.key.clone()) {
        Ok(GroupKey::OffsetCommit(key)) => {
            let value = decode_value(&key.group, record.value.as_ref())?;
            Ok(Replayed::Offset { key, value })
        }
        Ok(GroupKey::LegacyOffsetCommit(key)) => {
            let value: Option<LegacyOffsetCommitValue> =
                decode_value(&key.group, record.value.as_ref())?;
            let value = value.map(|legacy| OffsetCommitValue {
                offset: legacy.offset,
                metadata: legacy.metadata,
                commit_timestamp: legacy.commit_timestamp,
                ..OffsetCommitValue::default()
            });
            let key =
                OffsetCommitKey { group: key.group, topic: key.topic, partition: key.partition };
            Ok(Replayed::Offset { key, value })
        }
        Ok(GroupKey::GroupMetadata(key)) => {
            let value = decode_value(&key.group, record.value.as_ref())?;
            if !value.as_ref().is_none_or(group_metadata_fits) {
                return Err(ReplayError::NameTooLong { group: key.group });
            }
            Ok(Replayed::Group { group: key.group, value })
        }
        Ok(_) | Err(DecodeError::UnknownRecordType { .. }) => Ok(Replayed::Skipped),
        Err(error) => Err(ReplayError::Key(error)),
    }
}

pub(crate) fn offset_record(key: &OffsetCommitKey, value: &OffsetCommitValue) -> CoordinatorRecord {
    let version = if value.expire_timestamp == -1 {
        OFFSET_COMMIT_VERSION
    } else {
        OFFSET_COMMIT_EXPIRING_VERSION
    };
    record(key, Some(encode_value(value, version)))
}

pub(crate) fn offset_tombstone(group: &str, topic: &str, partition: i32) -> CoordinatorRecord {
    record(&OffsetCommitKey { group: group.to_owned(), topic: topic.to_owned(), partition }, None)
}

pub(crate) fn group_record(group: &str, value: &GroupMetadataValue) -> CoordinatorRecord {
    record(
        &GroupMetadataKey { group: group.to_owned() },
        Some(encode_value(value, GROUP_METADATA_VERSION)),
    )
}

pub(crate) fn group_tombstone(group: &str) -> CoordinatorRecord {
    record(&GroupMetadataKey { group: group.to_owned() }, None)
}

fn record<K: StoredKey>(key: &K, value: Option<Bytes>) -> CoordinatorRecord {
    let key = encode_key(key).expect("names were held to the limit where they entered");
    CoordinatorRecord { key, value }
}

fn encode_value<V: Message>(value: &V, version: i16) -> Bytes {
    encode_versioned(value, version).expect("names were held to the limit where they entered")
}

fn decode_value<V: Message>(group: &str, value: Option<&Bytes>) -> Result<Option<V>, ReplayError> {
    value
        .map(|value| decode_versioned(value.clone()))
        .transpose()
        .map_err(|error| ReplayError::Value { group: group.to_owned(), error })
}

/// Whether the group can be written again: flexible versions hold longer names than we write.
fn group_metadata_fits(value: &GroupMetadataValue) -> bool {
    let fits = |name: &str| name.len() <= NAME_BYTES_MAX;
    let optional = |name: &Option<String>| name.as_deref().is_none_or(fits);
    fits(&value.protocol_type)
        && optional(&value.protocol)
        && optional(&value.leader)
        && value.members.iter().all(|member| {
            fits(&member.member_id)
                && optional(&member.group_instance_id)
                && fits(&member.client_id)
                && fits(&member.client_host)
        })
}
