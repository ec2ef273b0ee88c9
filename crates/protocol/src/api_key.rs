//! The APIs: their keys, names and header versions. The one table of them all is [`for_each_api!`].
//!
//! Called by everything that frames a request. Which versions a server offers is the server's matter.

use std::fmt;

use crate::{Request, messages};

/// Calls the macro named with one `(Name, key, module, Request, Response)` row per API, in the order
/// of the keys: for tables that must not forget an API.
#[macro_export]
macro_rules! for_each_api {
    ($callback:ident) => {
        $callback! {
            (Produce, 0, produce, ProduceRequest, ProduceResponse),
            (Fetch, 1, fetch, FetchRequest, FetchResponse),
            (ListOffsets, 2, list_offsets, ListOffsetsRequest, ListOffsetsResponse),
            (Metadata, 3, metadata, MetadataRequest, MetadataResponse),
            (OffsetCommit, 8, offset_commit, OffsetCommitRequest, OffsetCommitResponse),
            (OffsetFetch, 9, offset_fetch, OffsetFetchRequest, OffsetFetchResponse),
            (FindCoordinator, 10, find_coordinator, FindCoordinatorRequest, FindCoordinatorResponse),
            (JoinGroup, 11, join_group, JoinGroupRequest, JoinGroupResponse),
            (Heartbeat, 12, heartbeat, HeartbeatRequest, HeartbeatResponse),
            (LeaveGroup, 13, leave_group, LeaveGroupRequest, LeaveGroupResponse),
            (SyncGroup, 14, sync_group, SyncGroupRequest, SyncGroupResponse),
            (DescribeGroups, 15, describe_groups, DescribeGroupsRequest, DescribeGroupsResponse),
            (ListGroups, 16, list_groups, ListGroupsRequest, ListGroupsResponse),
            (SaslHandshake, 17, sasl_handshake, SaslHandshakeRequest, SaslHandshakeResponse),
            (ApiVersions, 18, api_versions, ApiVersionsRequest, ApiVersionsResponse),
            (CreateTopics, 19, create_topics, CreateTopicsRequest, CreateTopicsResponse),
            (DeleteTopics, 20, delete_topics, DeleteTopicsRequest, DeleteTopicsResponse),
            (DeleteRecords, 21, delete_records, DeleteRecordsRequest, DeleteRecordsResponse),
            (InitProducerId, 22, init_producer_id, InitProducerIdRequest, InitProducerIdResponse),
            (OffsetForLeaderEpoch, 23, offset_for_leader_epoch, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse),
            (AddPartitionsToTxn, 24, add_partitions_to_txn, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse),
            (AddOffsetsToTxn, 25, add_offsets_to_txn, AddOffsetsToTxnRequest, AddOffsetsToTxnResponse),
            (EndTxn, 26, end_txn, EndTxnRequest, EndTxnResponse),
            (WriteTxnMarkers, 27, write_txn_markers, WriteTxnMarkersRequest, WriteTxnMarkersResponse),
            (TxnOffsetCommit, 28, txn_offset_commit, TxnOffsetCommitRequest, TxnOffsetCommitResponse),
            (DescribeAcls, 29, describe_acls, DescribeAclsRequest, DescribeAclsResponse),
            (CreateAcls, 30, create_acls, CreateAclsRequest, CreateAclsResponse),
            (DeleteAcls, 31, delete_acls, DeleteAclsRequest, DeleteAclsResponse),
            (DescribeConfigs, 32, describe_configs, DescribeConfigsRequest, DescribeConfigsResponse),
            (AlterConfigs, 33, alter_configs, AlterConfigsRequest, AlterConfigsResponse),
            (AlterReplicaLogDirs, 34, alter_replica_log_dirs, AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse),
            (DescribeLogDirs, 35, describe_log_dirs, DescribeLogDirsRequest, DescribeLogDirsResponse),
            (SaslAuthenticate, 36, sasl_authenticate, SaslAuthenticateRequest, SaslAuthenticateResponse),
            (CreatePartitions, 37, create_partitions, CreatePartitionsRequest, CreatePartitionsResponse),
            (CreateDelegationToken, 38, create_delegation_token, CreateDelegationTokenRequest, CreateDelegationTokenResponse),
            (RenewDelegationToken, 39, renew_delegation_token, RenewDelegationTokenRequest, RenewDelegationTokenResponse),
            (ExpireDelegationToken, 40, expire_delegation_token, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse),
            (DescribeDelegationToken, 41, describe_delegation_token, DescribeDelegationTokenRequest, DescribeDelegationTokenResponse),
            (DeleteGroups, 42, delete_groups, DeleteGroupsRequest, DeleteGroupsResponse),
            (ElectLeaders, 43, elect_leaders, ElectLeadersRequest, ElectLeadersResponse),
            (IncrementalAlterConfigs, 44, incremental_alter_configs, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse),
            (AlterPartitionReassignments, 45, alter_partition_reassignments, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse),
            (ListPartitionReassignments, 46, list_partition_reassignments, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse),
            (OffsetDelete, 47, offset_delete, OffsetDeleteRequest, OffsetDeleteResponse),
            (DescribeClientQuotas, 48, describe_client_quotas, DescribeClientQuotasRequest, DescribeClientQuotasResponse),
            (AlterClientQuotas, 49, alter_client_quotas, AlterClientQuotasRequest, AlterClientQuotasResponse),
            (DescribeUserScramCredentials, 50, describe_user_scram_credentials, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse),
            (AlterUserScramCredentials, 51, alter_user_scram_credentials, AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse),
            (Vote, 52, vote, VoteRequest, VoteResponse),
            (BeginQuorumEpoch, 53, begin_quorum_epoch, BeginQuorumEpochRequest, BeginQuorumEpochResponse),
            (EndQuorumEpoch, 54, end_quorum_epoch, EndQuorumEpochRequest, EndQuorumEpochResponse),
            (DescribeQuorum, 55, describe_quorum, DescribeQuorumRequest, DescribeQuorumResponse),
            (AlterPartition, 56, alter_partition, AlterPartitionRequest, AlterPartitionResponse),
            (UpdateFeatures, 57, update_features, UpdateFeaturesRequest, UpdateFeaturesResponse),
            (Envelope, 58, envelope, EnvelopeRequest, EnvelopeResponse),
            (FetchSnapshot, 59, fetch_snapshot, FetchSnapshotRequest, FetchSnapshotResponse),
            (DescribeCluster, 60, describe_cluster, DescribeClusterRequest, DescribeClusterResponse),
            (DescribeProducers, 61, describe_producers, DescribeProducersRequest, DescribeProducersResponse),
            (BrokerRegistration, 62, broker_registration, BrokerRegistrationRequest, BrokerRegistrationResponse),
            (BrokerHeartbeat, 63, broker_heartbeat, BrokerHeartbeatRequest, BrokerHeartbeatResponse),
            (UnregisterBroker, 64, unregister_broker, UnregisterBrokerRequest, UnregisterBrokerResponse),
            (DescribeTransactions, 65, describe_transactions, DescribeTransactionsRequest, DescribeTransactionsResponse),
            (ListTransactions, 66, list_transactions, ListTransactionsRequest, ListTransactionsResponse),
            (AllocateProducerIds, 67, allocate_producer_ids, AllocateProducerIdsRequest, AllocateProducerIdsResponse),
            (ConsumerGroupHeartbeat, 68, consumer_group_heartbeat, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse),
            (ConsumerGroupDescribe, 69, consumer_group_describe, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse),
            (ControllerRegistration, 70, controller_registration, ControllerRegistrationRequest, ControllerRegistrationResponse),
            (GetTelemetrySubscriptions, 71, get_telemetry_subscriptions, GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse),
            (PushTelemetry, 72, push_telemetry, PushTelemetryRequest, PushTelemetryResponse),
            (AssignReplicasToDirs, 73, assign_replicas_to_dirs, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse),
            (ListConfigResources, 74, list_config_resources, ListConfigResourcesRequest, ListConfigResourcesResponse),
            (DescribeTopicPartitions, 75, describe_topic_partitions, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse),
            (ShareGroupHeartbeat, 76, share_group_heartbeat, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse),
            (ShareGroupDescribe, 77, share_group_describe, ShareGroupDescribeRequest, ShareGroupDescribeResponse),
            (ShareFetch, 78, share_fetch, ShareFetchRequest, ShareFetchResponse),
            (ShareAcknowledge, 79, share_acknowledge, ShareAcknowledgeRequest, ShareAcknowledgeResponse),
            (AddRaftVoter, 80, add_raft_voter, AddRaftVoterRequest, AddRaftVoterResponse),
            (RemoveRaftVoter, 81, remove_raft_voter, RemoveRaftVoterRequest, RemoveRaftVoterResponse),
            (UpdateRaftVoter, 82, update_raft_voter, UpdateRaftVoterRequest, UpdateRaftVoterResponse),
            (InitializeShareGroupState, 83, initialize_share_group_state, InitializeShareGroupStateRequest, InitializeShareGroupStateResponse),
            (ReadShareGroupState, 84, read_share_group_state, ReadShareGroupStateRequest, ReadShareGroupStateResponse),
            (WriteShareGroupState, 85, write_share_group_state, WriteShareGroupStateRequest, WriteShareGroupStateResponse),
            (DeleteShareGroupState, 86, delete_share_group_state, DeleteShareGroupStateRequest, DeleteShareGroupStateResponse),
            (ReadShareGroupStateSummary, 87, read_share_group_state_summary, ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse),
            (StreamsGroupHeartbeat, 88, streams_group_heartbeat, StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse),
            (StreamsGroupDescribe, 89, streams_group_describe, StreamsGroupDescribeRequest, StreamsGroupDescribeResponse),
            (DescribeShareGroupOffsets, 90, describe_share_group_offsets, DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse),
            (AlterShareGroupOffsets, 91, alter_share_group_offsets, AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse),
            (DeleteShareGroupOffsets, 92, delete_share_group_offsets, DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse),
        }
    };
}

macro_rules! define_api_key {
    ($(($name:ident, $key:literal, $module:ident, $request:ident, $response:ident),)*) => {
        /// An API, by the number that a request's header opens with.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        #[allow(missing_docs, reason = "the names are Kafka's")]
        pub enum ApiKey {
            $($name = $key,)*
        }

        impl ApiKey {
            /// Every API, in the order of the keys.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The API with that key, if there is one.
            #[must_use]
            pub const fn from_i16(key: i16) -> Option<Self> {
                match key {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name of it, such as `Produce`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The first and last version that the structs of this crate encode and decode, of
            /// request and response alike.
            #[must_use]
            pub const fn versions(self) -> (i16, i16) {
                match self {
                    $(Self::$name => {
                        let versions = <messages::$module::$request as crate::Message>::VERSIONS;
                        (*versions.start(), *versions.end())
                    })*
                }
            }

            /// The first flexible version (KIP-482), `i16::MAX` if there is none.
            #[must_use]
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$name => <messages::$module::$request as Request>::FLEXIBLE_FROM,)*
                }
            }
        }
    };
}

for_each_api!(define_api_key);

impl ApiKey {
    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> i16 {
        self as i16
    }

    /// The newest version that Kafka 4.1 calls stable; a newer one is offered only when unstable
    /// versions are enabled. `None` where all are unstable.
    #[must_use]
    pub const fn latest_stable_version(self) -> Option<i16> {
        match self {
            Self::OffsetCommit | Self::OffsetFetch => Some(9),
            Self::InitProducerId => Some(5),
            Self::StreamsGroupHeartbeat | Self::StreamsGroupDescribe => None,
            _ => Some(self.versions().1),
        }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version of the header in front of a request: 2 (with tagged fields) from the first flexible
/// version on, else 1. Version 0, which only the removed ControlledShutdown v0 had, is not served.
#[must_use]
pub const fn request_header_version(key: ApiKey, version: i16) -> i16 {
    if version >= key.flexible_from() { 2 } else { 1 }
}

/// The version of the header in front of a response: 1 from the first flexible version on, else 0.
/// ApiVersions always has 0, for its answer may be read by a client that does not know the version
/// (KIP-511).
#[must_use]
pub const fn response_header_version(key: ApiKey, version: i16) -> i16 {
    if matches!(key, ApiKey::ApiVersions) || version < key.flexible_from() { 0 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_unknown_ones_are_none() {
        for &key in ApiKey::ALL {
            assert_eq!(ApiKey::from_i16(key.value()), Some(key));
        }
        assert_eq!(ApiKey::from_i16(4), None);
        assert_eq!(ApiKey::from_i16(-1), None);
        assert_eq!(ApiKey::Metadata.name(), "Metadata");
        assert_eq!(ApiKey::Metadata.versions(), (0, 13));
    }

    #[test]
    fn headers_follow_the_first_flexible_version() {
        assert_eq!(request_header_version(ApiKey::Produce, 8), 1);
        assert_eq!(request_header_version(ApiKey::Produce, 9), 2);
        assert_eq!(response_header_version(ApiKey::Produce, 8), 0);
        assert_eq!(response_header_version(ApiKey::Produce, 9), 1);
        assert_eq!(request_header_version(ApiKey::ApiVersions, 3), 2);
        assert_eq!(response_header_version(ApiKey::ApiVersions, 4), 0);
        assert_eq!(request_header_version(ApiKey::SaslHandshake, 1), 1);
    }
}
