//! Bytes that Apache Kafka itself wrote, of the stored records and of the versions that the oracle
//! crate lacks: they must be read to the end and written again as they were.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use kalda_protocol::wire::Versioned;
use kalda_protocol::{Message, messages, stored};

const LINES: &str = include_str!("testdata/kafka_bytes.txt");

fn rewrite<M: Message>(version: i16, mut bytes: Bytes) -> Bytes {
    let message = M::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "{} bytes left", bytes.len());
    let mut written = BytesMut::new();
    message.encode(&mut written, version).unwrap();
    assert_eq!(written.len(), message.size(version));
    written.freeze()
}

macro_rules! rewrite_any {
    ($name:expr, $version:expr, $bytes:expr; $($message:ty,)*) => {
        match $name {
            $(name if name == <$message>::SCHEMA.name => {
                rewrite::<$message>($version, $bytes)
            })*
            other => panic!("no struct named {other}"),
        }
    };
}

fn from_hex(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn rewrite_named(name: &str, version: i16, bytes: Bytes) -> Bytes {
    rewrite_any! {
        name, version, bytes;
        messages::offset_commit::OffsetCommitRequest,
        messages::offset_fetch::OffsetFetchRequest,
        messages::init_producer_id::InitProducerIdRequest,
        messages::streams_group_heartbeat::StreamsGroupHeartbeatRequest,
        messages::streams_group_heartbeat::StreamsGroupHeartbeatResponse,
        messages::streams_group_describe::StreamsGroupDescribeRequest,
        messages::streams_group_describe::StreamsGroupDescribeResponse,
        stored::metadata::RegisterBrokerRecord,
        stored::metadata::UnregisterBrokerRecord,
        stored::metadata::TopicRecord,
        stored::metadata::PartitionRecord,
        stored::metadata::ConfigRecord,
        stored::metadata::PartitionChangeRecord,
        stored::metadata::FenceBrokerRecord,
        stored::metadata::UnfenceBrokerRecord,
        stored::metadata::RemoveTopicRecord,
        stored::metadata::DelegationTokenRecord,
        stored::metadata::UserScramCredentialRecord,
        stored::metadata::FeatureLevelRecord,
        stored::metadata::ClientQuotaRecord,
        stored::metadata::ProducerIdsRecord,
        stored::metadata::BrokerRegistrationChangeRecord,
        stored::metadata::AccessControlEntryRecord,
        stored::metadata::RemoveAccessControlEntryRecord,
        stored::metadata::NoOpRecord,
        stored::metadata::ZkMigrationStateRecord,
        stored::metadata::RemoveUserScramCredentialRecord,
        stored::metadata::BeginTransactionRecord,
        stored::metadata::EndTransactionRecord,
        stored::metadata::AbortTransactionRecord,
        stored::metadata::RemoveDelegationTokenRecord,
        stored::metadata::RegisterControllerRecord,
        stored::metadata::ClearElrRecord,
        stored::group::LegacyOffsetCommitKey,
        stored::group::LegacyOffsetCommitValue,
        stored::group::OffsetCommitKey,
        stored::group::OffsetCommitValue,
        stored::group::GroupMetadataKey,
        stored::group::GroupMetadataValue,
        stored::group::ConsumerGroupMetadataKey,
        stored::group::ConsumerGroupMetadataValue,
        stored::group::ConsumerGroupPartitionMetadataKey,
        stored::group::ConsumerGroupPartitionMetadataValue,
        stored::group::ConsumerGroupMemberMetadataKey,
        stored::group::ConsumerGroupMemberMetadataValue,
        stored::group::ConsumerGroupTargetAssignmentMetadataKey,
        stored::group::ConsumerGroupTargetAssignmentMetadataValue,
        stored::group::ConsumerGroupTargetAssignmentMemberKey,
        stored::group::ConsumerGroupTargetAssignmentMemberValue,
        stored::group::ConsumerGroupCurrentMemberAssignmentKey,
        stored::group::ConsumerGroupCurrentMemberAssignmentValue,
        stored::group::ShareGroupMemberMetadataKey,
        stored::group::ShareGroupMemberMetadataValue,
        stored::group::ShareGroupMetadataKey,
        stored::group::ShareGroupMetadataValue,
        stored::group::ShareGroupTargetAssignmentMetadataKey,
        stored::group::ShareGroupTargetAssignmentMetadataValue,
        stored::group::ShareGroupTargetAssignmentMemberKey,
        stored::group::ShareGroupTargetAssignmentMemberValue,
        stored::group::ShareGroupCurrentMemberAssignmentKey,
        stored::group::ShareGroupCurrentMemberAssignmentValue,
        stored::group::ShareGroupStatePartitionMetadataKey,
        stored::group::ShareGroupStatePartitionMetadataValue,
        stored::group::ConsumerGroupRegularExpressionKey,
        stored::group::ConsumerGroupRegularExpressionValue,
        stored::group::StreamsGroupMetadataKey,
        stored::group::StreamsGroupMetadataValue,
        stored::group::StreamsGroupMemberMetadataKey,
        stored::group::StreamsGroupMemberMetadataValue,
        stored::group::StreamsGroupTargetAssignmentMetadataKey,
        stored::group::StreamsGroupTargetAssignmentMetadataValue,
        stored::group::StreamsGroupTargetAssignmentMemberKey,
        stored::group::StreamsGroupTargetAssignmentMemberValue,
        stored::group::StreamsGroupCurrentMemberAssignmentKey,
        stored::group::StreamsGroupCurrentMemberAssignmentValue,
        stored::group::StreamsGroupTopologyKey,
        stored::group::StreamsGroupTopologyValue,
        stored::share::ShareSnapshotKey,
        stored::share::ShareSnapshotValue,
        stored::share::ShareUpdateKey,
        stored::share::ShareUpdateValue,
        stored::transaction::TransactionLogKey,
        stored::transaction::TransactionLogValue,
        stored::raft::LeaderChangeMessage,
        stored::raft::SnapshotHeaderRecord,
        stored::raft::SnapshotFooterRecord,
        stored::raft::KRaftVersionRecord,
        stored::raft::VotersRecord,
        stored::transaction::EndTxnMarker,
        stored::principal::DefaultPrincipalData,
        stored::consumer_protocol::ConsumerProtocolSubscription,
        stored::consumer_protocol::ConsumerProtocolAssignment,
        messages::offset_commit::OffsetCommitResponse,
        messages::create_topics::CreateTopicsRequest,
        messages::create_topics::CreateTopicsResponse,
        messages::delete_topics::DeleteTopicsRequest,
        messages::delete_topics::DeleteTopicsResponse,
        messages::describe_acls::DescribeAclsRequest,
        messages::describe_acls::DescribeAclsResponse,
        messages::create_acls::CreateAclsRequest,
        messages::create_acls::CreateAclsResponse,
        messages::delete_acls::DeleteAclsRequest,
        messages::delete_acls::DeleteAclsResponse,
        messages::describe_configs::DescribeConfigsRequest,
        messages::describe_configs::DescribeConfigsResponse,
        messages::alter_replica_log_dirs::AlterReplicaLogDirsRequest,
        messages::alter_replica_log_dirs::AlterReplicaLogDirsResponse,
        messages::describe_log_dirs::DescribeLogDirsRequest,
        messages::describe_log_dirs::DescribeLogDirsResponse,
    }
}

#[test]
fn kafkas_bytes_are_read_and_written_again() {
    let lines: Vec<&str> = LINES.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 137);
    for line in lines {
        let mut fields = line.split(' ');
        let mut next = || fields.next().unwrap();
        let (name, version, bytes) = (next(), next().parse().unwrap(), from_hex(next()));
        assert_eq!(rewrite_named(name, version, bytes.clone()), bytes, "{name} v{version}");
    }
}
