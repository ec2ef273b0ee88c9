//! Every message and stored record, in every version of its own, through its bytes and back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kalda_protocol::stored::{self, MetadataRecord, group, raft, share, transaction};
use kalda_protocol::testing::{Fill, Source, sample};
use kalda_protocol::wire::Versioned;
use kalda_protocol::{DecodeError, EncodeError, Message, for_each_api, messages};

const SEEDS: u64 = 25;

fn round_trip<M: Message + Versioned + Fill + PartialEq + Debug>() {
    let name = M::SCHEMA.name;
    for version in M::VERSIONS {
        for seed in 0..SEEDS {
            let message: M = sample(seed, version).unwrap();
            let mut bytes = BytesMut::new();
            message.encode(&mut bytes, version).unwrap();
            assert_eq!(bytes.len(), message.size(version), "{name} v{version}");
            bytes.extend_from_slice(b"next");
            let mut input = bytes.freeze();
            assert_eq!(M::decode(&mut input, version).as_ref(), Ok(&message), "{name} v{version}");
            assert_eq!(input[..], *b"next", "{name} v{version}");
        }
        let mut bytes = BytesMut::new();
        sample::<M>(0, version).unwrap().encode(&mut bytes, version).unwrap();
        truncations_are_errors::<M>(&bytes.freeze(), version);
    }
    for version in [M::SCHEMA.first - 1, M::SCHEMA.last + 1, i16::MIN, i16::MAX] {
        let unknown = DecodeError::UnsupportedVersion { message: name, version };
        assert_eq!(M::decode(&mut Bytes::from_static(&[0; 64]), version), Err(unknown));
        let message: M = sample(1, M::SCHEMA.last).unwrap();
        let unknown = EncodeError::UnsupportedVersion { message: name, version };
        assert_eq!(message.encode(&mut BytesMut::new(), version), Err(unknown));
        assert_eq!(message.size(version), 0);
    }
}

/// A message that was cut off must never pass for a whole one.
fn truncations_are_errors<M: Message + Versioned + Debug>(bytes: &Bytes, version: i16) {
    for length in 0..bytes.len() {
        let cut = M::decode(&mut bytes.slice(..length), version);
        assert!(cut.is_err(), "{} v{version} of {length} bytes: {cut:?}", M::SCHEMA.name);
    }
}

macro_rules! round_trip_apis {
    ($(($name:ident, $key:literal, $module:ident, $request:ident, $response:ident),)*) => {
        $(
            round_trip::<messages::$module::$request>();
            round_trip::<messages::$module::$response>();
        )*
    };
}

#[test]
fn requests_and_responses() {
    for_each_api!(round_trip_apis);
}

#[test]
fn metadata_records() {
    for seed in 0..SEEDS {
        for (record, version) in MetadataRecord::samples(seed) {
            let value = record.encode_value_in(version).unwrap();
            assert_eq!(value[0], 1);
            assert_eq!(i16::from(value[1]), record.record_type());
            assert_eq!(i16::from(value[2]), version);
            for length in 0..value.len() {
                assert!(MetadataRecord::decode_value(value.slice(..length)).is_err());
            }
            assert_eq!(MetadataRecord::decode_value(value), Ok(record));
        }
    }
}

macro_rules! coordinator_records {
    ($($module:ident: $keys:ident { $($name:ident $key:ident $value:ident),* $(,)? })*) => {$(
        $(
            round_trip::<$module::$key>();
            round_trip::<$module::$value>();
            for seed in 0..SEEDS {
                let key: $module::$key = sample(seed, 0).unwrap();
                let bytes = stored::encode_key(&key).unwrap();
                assert_eq!($module::$keys::decode(bytes), Ok($module::$keys::$name(key)));
                for version in <$module::$value as Message>::VERSIONS {
                    let value: $module::$value = sample(seed, version).unwrap();
                    let bytes = stored::encode_versioned(&value, version).unwrap();
                    assert_eq!(bytes[..2], version.to_be_bytes());
                    assert_eq!(stored::decode_versioned(bytes), Ok(value));
                }
            }
        )*
    )*};
}

#[test]
fn coordinator_records() {
    coordinator_records! {
        group: GroupKey {
            LegacyOffsetCommit LegacyOffsetCommitKey LegacyOffsetCommitValue,
            OffsetCommit OffsetCommitKey OffsetCommitValue,
            GroupMetadata GroupMetadataKey GroupMetadataValue,
            ConsumerGroupMetadata ConsumerGroupMetadataKey ConsumerGroupMetadataValue,
            ConsumerGroupPartitionMetadata
                ConsumerGroupPartitionMetadataKey ConsumerGroupPartitionMetadataValue,
            ConsumerGroupMemberMetadata
                ConsumerGroupMemberMetadataKey ConsumerGroupMemberMetadataValue,
            ConsumerGroupTargetAssignmentMetadata
                ConsumerGroupTargetAssignmentMetadataKey ConsumerGroupTargetAssignmentMetadataValue,
            ConsumerGroupTargetAssignmentMember
                ConsumerGroupTargetAssignmentMemberKey ConsumerGroupTargetAssignmentMemberValue,
            ConsumerGroupCurrentMemberAssignment
                ConsumerGroupCurrentMemberAssignmentKey ConsumerGroupCurrentMemberAssignmentValue,
            ConsumerGroupRegularExpression
                ConsumerGroupRegularExpressionKey ConsumerGroupRegularExpressionValue,
            ShareGroupMemberMetadata ShareGroupMemberMetadataKey ShareGroupMemberMetadataValue,
            ShareGroupMetadata ShareGroupMetadataKey ShareGroupMetadataValue,
            ShareGroupTargetAssignmentMetadata
                ShareGroupTargetAssignmentMetadataKey ShareGroupTargetAssignmentMetadataValue,
            ShareGroupTargetAssignmentMember
                ShareGroupTargetAssignmentMemberKey ShareGroupTargetAssignmentMemberValue,
            ShareGroupCurrentMemberAssignment
                ShareGroupCurrentMemberAssignmentKey ShareGroupCurrentMemberAssignmentValue,
            ShareGroupStatePartitionMetadata
                ShareGroupStatePartitionMetadataKey ShareGroupStatePartitionMetadataValue,
            StreamsGroupMetadata StreamsGroupMetadataKey StreamsGroupMetadataValue,
            StreamsGroupMemberMetadata
                StreamsGroupMemberMetadataKey StreamsGroupMemberMetadataValue,
            StreamsGroupTargetAssignmentMetadata
                StreamsGroupTargetAssignmentMetadataKey StreamsGroupTargetAssignmentMetadataValue,
            StreamsGroupTargetAssignmentMember
                StreamsGroupTargetAssignmentMemberKey StreamsGroupTargetAssignmentMemberValue,
            StreamsGroupCurrentMemberAssignment
                StreamsGroupCurrentMemberAssignmentKey StreamsGroupCurrentMemberAssignmentValue,
            StreamsGroupTopology StreamsGroupTopologyKey StreamsGroupTopologyValue,
        }
        transaction: TransactionKey {
            TransactionLog TransactionLogKey TransactionLogValue,
        }
        share: ShareKey {
            ShareSnapshot ShareSnapshotKey ShareSnapshotValue,
            ShareUpdate ShareUpdateKey ShareUpdateValue,
        }
    }
}

#[test]
fn other_stored_records() {
    round_trip::<raft::LeaderChangeMessage>();
    round_trip::<raft::SnapshotHeaderRecord>();
    round_trip::<raft::SnapshotFooterRecord>();
    round_trip::<raft::KRaftVersionRecord>();
    round_trip::<raft::VotersRecord>();
    round_trip::<transaction::EndTxnMarker>();
    round_trip::<stored::principal::DefaultPrincipalData>();
    round_trip::<stored::consumer_protocol::ConsumerProtocolSubscription>();
    round_trip::<stored::consumer_protocol::ConsumerProtocolAssignment>();
}

#[test]
fn an_unknown_value_version_or_key_type_is_an_error() {
    let value = Bytes::from_static(&[0, 9, 0, 0, 0, 0]);
    let read = stored::decode_versioned::<group::OffsetCommitValue>(value);
    assert_eq!(
        read,
        Err(DecodeError::UnsupportedVersion { message: "OffsetCommitValue", version: 9 })
    );
    let key = group::GroupKey::decode(Bytes::from_static(&[0, 9, 0, 1, b'g']));
    assert_eq!(key, Err(DecodeError::UnknownRecordType { family: "group", record_type: 9 }));
    let trailing = group::GroupKey::decode(Bytes::from_static(&[0, 2, 0, 1, b'g', 0]));
    assert_eq!(trailing, Err(DecodeError::TrailingBytes(1)));
}

#[test]
fn newer_subscriptions_are_read_as_the_newest_known() {
    let subscription: stored::consumer_protocol::ConsumerProtocolSubscription =
        sample(3, 3).unwrap();
    let mut bytes = BytesMut::from(&stored::encode_versioned(&subscription, 3).unwrap()[..]);
    bytes[1] = 7;
    bytes.extend_from_slice(b"something newer");
    let bytes = bytes.freeze();
    assert!(
        stored::decode_versioned::<stored::consumer_protocol::ConsumerProtocolSubscription>(
            bytes.clone()
        )
        .is_err()
    );
    assert_eq!(stored::decode_versioned_lenient(bytes), Ok(subscription));
}

#[test]
fn blobs_are_slices_of_the_input() {
    let mut source = Source::new(1);
    let records: Bytes = (0..1000).map(|_| source.next_u64() as u8).collect();
    let request = messages::produce::ProduceRequest {
        topic_data: vec![messages::produce::TopicProduceData {
            name: "t".to_owned(),
            partition_data: vec![messages::produce::PartitionProduceData {
                index: 0,
                records: Some(records),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, 9).unwrap();
    let frame = bytes.freeze();
    let read = messages::produce::ProduceRequest::decode(&mut frame.clone(), 9).unwrap();
    let records = read.topic_data[0].partition_data[0].records.clone().unwrap();
    let frame = frame.as_ptr_range();
    assert!(frame.contains(&records.as_ptr()));
}
