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

use crate::consumer::{Change, decode_consumer};
use crate::decision::CoordinatorRecord;

/// The longest string that the protocol lets in, and that a record can hold. Names that are put
/// together from others are held to it where these enter.
pub(crate) const NAME_BYTES_MAX: usize = i16::MAX as usize;

/// Whether a group may be named so.
pub(crate) fn is_group_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= NAME_BYTES_MAX
}

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
    #[error("a member of group {group} is in the unknown state {state}")]
    MemberState { group: String, state: i8 },
    #[error("the value of the record of transactional id {id} does not decode: {error}")]
    Transaction { id: String, error: DecodeError },
    #[error("the transaction of {id} is in the unknown state {state}")]
    TransactionState { id: String, state: i8 },
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
    Consumer {
        group: String,
        change: Change,
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
            Ok(Replayed::Group { group: key.group, value })
        }
        Ok(key) => match decode_consumer(key, record.value.as_ref())? {
            Some((group, change)) => Ok(Replayed::Consumer { group, change }),
            None => Ok(Replayed::Skipped),
        },
        Err(DecodeError::UnknownRecordType { .. }) => Ok(Replayed::Skipped),
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

pub(crate) fn record<K: StoredKey>(key: &K, value: Option<Bytes>) -> CoordinatorRecord {
    let key = encode_key(key).expect("names were held to the limit where they entered");
    CoordinatorRecord { key, value }
}

pub(crate) fn encode_value<V: Message>(value: &V, version: i16) -> Bytes {
    encode_versioned(value, version).expect("names were held to the limit where they entered")
}

pub(crate) fn decode_value<V: Message>(
    group: &str,
    value: Option<&Bytes>,
) -> Result<Option<V>, ReplayError> {
    value
        .map(|value| decode_versioned(value.clone()))
        .transpose()
        .map_err(|error| ReplayError::Value { group: group.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_log(key: &[u8], value: Option<&[u8]>) -> Result<Replayed, ReplayError> {
        let value = value.map(Bytes::copy_from_slice);
        decode(&CoordinatorRecord { key: Bytes::copy_from_slice(key), value })
    }

    #[test]
    fn offsets_are_written_as_kafka_4_1_writes_them() {
        let key = OffsetCommitKey { group: "g".to_owned(), topic: "logs".to_owned(), partition: 3 };
        let value = OffsetCommitValue {
            offset: 258,
            leader_epoch: 7,
            metadata: "m".to_owned(),
            commit_timestamp: 9,
            ..OffsetCommitValue::default()
        };
        let record = offset_record(&key, &value);
        assert_eq!(&record.key[..], b"\0\x01\0\x01g\0\x04logs\0\0\0\x03");
        assert_eq!(
            record.value.as_deref(),
            Some(&b"\0\x04\0\0\0\0\0\0\x01\x02\0\0\0\x07\x02m\0\0\0\0\0\0\0\x09\0"[..])
        );
        let expiring = OffsetCommitValue { expire_timestamp: 10, ..value };
        let record = offset_record(&key, &expiring);
        assert_eq!(
            record.value.as_deref(),
            Some(&b"\0\x01\0\0\0\0\0\0\x01\x02\0\x01m\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x0a"[..])
        );
    }

    #[test]
    fn the_oldest_form_of_an_offset_is_read() {
        let value = b"\0\0\0\0\0\0\0\0\0\x05\0\x01m\0\0\0\0\0\0\0\x09";
        let read = from_log(b"\0\0\0\x01g\0\x01t\0\0\0\0", Some(value)).unwrap();
        let Replayed::Offset { key, value: Some(value) } = read else { panic!("{read:?}") };
        assert_eq!((key.group.as_str(), key.topic.as_str(), key.partition), ("g", "t", 0));
        assert_eq!((value.offset, value.leader_epoch, value.expire_timestamp), (5, -1, -1));
    }

    #[test]
    fn other_types_are_skipped_and_damage_is_not() {
        assert!(matches!(from_log(b"\0\x63whatever", Some(b"x")), Ok(Replayed::Skipped)));
        // A key of two bytes too few, one of a byte too many, and none at all.
        for key in [&b"\0\x02\0\x03g"[..], b"\0\x02\0\x01g!", b""] {
            assert!(matches!(from_log(key, None), Err(ReplayError::Key(_))), "{key:?}");
        }
        // Values of an unknown version, and of a version without a body.
        for value in [&b"\0\x63"[..], b"\0\x03", b"\xff\xff", b""] {
            let read = from_log(b"\0\x02\0\x01g", Some(value));
            assert!(matches!(read, Err(ReplayError::Value { .. })), "{value:?}");
        }
    }
}
