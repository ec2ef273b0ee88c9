//! Kafka's error codes: number, name, default message, Java exception, and whether a retry may help.
//!
//! Called by everything that answers or reads a response. The texts are those of
//! `org.apache.kafka.common.protocol.Errors` (4.1), for tools show them and scripts look for them.

use std::fmt;

use crate::ApiKey;

/// Where most of the exceptions live; the table's names are relative to its parent.
const EXCEPTION_PACKAGE: &str = "org.apache.kafka.common.";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    Retriable,
    Final,
}

/// What the table says about one code.
struct Row {
    name: &'static str,
    exception: &'static str,
    retry: Retry,
    message: &'static str,
}

macro_rules! define_error_code {
    ($(($code:literal, $variant:ident, $name:literal, $exception:literal, $retry:ident, $message:literal),)*) => {
        /// An error code of the protocol.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = $message]
                $variant = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The error with that number; `None` for one that Kafka 4.1 does not have, which
            /// clients treat like [`ErrorCode::UnknownServerError`].
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        exception: $exception,
                        retry: Retry::$retry,
                        message: $message,
                    },)*
                }
            }
        }
    };
}

define_error_code! {
    (-1, UnknownServerError, "UNKNOWN_SERVER_ERROR", "errors.UnknownServerException", Final,
        "The server experienced an unexpected error when processing the request."),
    (0, None, "NONE", "", Final,
        "NONE"),
    (1, OffsetOutOfRange, "OFFSET_OUT_OF_RANGE", "errors.OffsetOutOfRangeException", Final,
        "The requested offset is not within the range of offsets maintained by the server."),
    (2, CorruptMessage, "CORRUPT_MESSAGE", "errors.CorruptRecordException", Retriable,
        "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted topic, or is otherwise corrupt."),
    (3, UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION", "errors.UnknownTopicOrPartitionException", Retriable,
        "This server does not host this topic-partition."),
    (4, InvalidFetchSize, "INVALID_FETCH_SIZE", "errors.InvalidFetchSizeException", Final,
        "The requested fetch size is invalid."),
    (5, LeaderNotAvailable, "LEADER_NOT_AVAILABLE", "errors.LeaderNotAvailableException", Retriable,
        "There is no leader for this topic-partition as we are in the middle of a leadership election."),
    (6, NotLeaderOrFollower, "NOT_LEADER_OR_FOLLOWER", "errors.NotLeaderOrFollowerException", Retriable,
        "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition."),
    (7, RequestTimedOut, "REQUEST_TIMED_OUT", "errors.TimeoutException", Retriable,
        "The request timed out."),
    (8, BrokerNotAvailable, "BROKER_NOT_AVAILABLE", "errors.BrokerNotAvailableException", Final,
        "The broker is not available."),
    (9, ReplicaNotAvailable, "REPLICA_NOT_AVAILABLE", "errors.ReplicaNotAvailableException", Retriable,
        "The replica is not available for the requested topic-partition. Produce/Fetch requests and other requests intended only for the leader or follower return NOT_LEADER_OR_FOLLOWER if the broker is not a replica of the topic-partition."),
    (10, MessageTooLarge, "MESSAGE_TOO_LARGE", "errors.RecordTooLargeException", Final,
        "The request included a message larger than the max message size the server will accept."),
    (11, StaleControllerEpoch, "STALE_CONTROLLER_EPOCH", "errors.ControllerMovedException", Final,
        "The controller moved to another broker."),
    (12, OffsetMetadataTooLarge, "OFFSET_METADATA_TOO_LARGE", "errors.OffsetMetadataTooLarge", Final,
        "The metadata field of the offset request was too large."),
    (13, NetworkException, "NETWORK_EXCEPTION", "errors.NetworkException", Retriable,
        "The server disconnected before a response was received."),
    (14, CoordinatorLoadInProgress, "COORDINATOR_LOAD_IN_PROGRESS", "errors.CoordinatorLoadInProgressException", Retriable,
        "The coordinator is loading and hence can't process requests."),
    (15, CoordinatorNotAvailable, "COORDINATOR_NOT_AVAILABLE", "errors.CoordinatorNotAvailableException", Retriable,
        "The coordinator is not available."),
    (16, NotCoordinator, "NOT_COORDINATOR", "errors.NotCoordinatorException", Retriable,
        "This is not the correct coordinator."),
    (17, InvalidTopicException, "INVALID_TOPIC_EXCEPTION", "errors.InvalidTopicException", Final,
        "The request attempted to perform an operation on an invalid topic."),
    (18, RecordListTooLarge, "RECORD_LIST_TOO_LARGE", "errors.RecordBatchTooLargeException", Final,
        "The request included message batch larger than the configured segment size on the server."),
    (19, NotEnoughReplicas, "NOT_ENOUGH_REPLICAS", "errors.NotEnoughReplicasException", Retriable,
        "Messages are rejected since there are fewer in-sync replicas than required."),
    (20, NotEnoughReplicasAfterAppend, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "errors.NotEnoughReplicasAfterAppendException", Retriable,
        "Messages are written to the log, but to fewer in-sync replicas than required."),
    (21, InvalidRequiredAcks, "INVALID_REQUIRED_ACKS", "errors.InvalidRequiredAcksException", Final,
        "Produce request specified an invalid value for required acks."),
    (22, IllegalGeneration, "ILLEGAL_GENERATION", "errors.IllegalGenerationException", Final,
        "Specified group generation id is not valid."),
    (23, InconsistentGroupProtocol, "INCONSISTENT_GROUP_PROTOCOL", "errors.InconsistentGroupProtocolException", Final,
        "The group member's supported protocols are incompatible with those of existing members or first group member tried to join with empty protocol type or empty protocol list."),
    (24, InvalidGroupId, "INVALID_GROUP_ID", "errors.InvalidGroupIdException", Final,
        "The group id is invalid."),
    (25, UnknownMemberId, "UNKNOWN_MEMBER_ID", "errors.UnknownMemberIdException", Final,
        "The coordinator is not aware of this member."),
    (26, InvalidSessionTimeout, "INVALID_SESSION_TIMEOUT", "errors.InvalidSessionTimeoutException", Final,
        "The session timeout is not within the range allowed by the broker (as configured by group.min.session.timeout.ms and group.max.session.timeout.ms)."),
    (27, RebalanceInProgress, "REBALANCE_IN_PROGRESS", "errors.RebalanceInProgressException", Final,
        "The group is rebalancing, so a rejoin is needed."),
    (28, InvalidCommitOffsetSize, "INVALID_COMMIT_OFFSET_SIZE", "errors.InvalidCommitOffsetSizeException", Final,
        "The committing offset data size is not valid."),
    (29, TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED", "errors.TopicAuthorizationException", Final,
        "Topic authorization failed."),
    (30, GroupAuthorizationFailed, "GROUP_AUTHORIZATION_FAILED", "errors.GroupAuthorizationException", Final,
        "Group authorization failed."),
    (31, ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED", "errors.ClusterAuthorizationException", Final,
        "Cluster authorization failed."),
    (32, InvalidTimestamp, "INVALID_TIMESTAMP", "errors.InvalidTimestampException", Final,
        "The timestamp of the message is out of acceptable range."),
    (33, UnsupportedSaslMechanism, "UNSUPPORTED_SASL_MECHANISM", "errors.UnsupportedSaslMechanismException", Final,
        "The broker does not support the requested SASL mechanism."),
    (34, IllegalSaslState, "ILLEGAL_SASL_STATE", "errors.IllegalSaslStateException", Final,
        "Request is not valid given the current SASL state."),
    (35, UnsupportedVersion, "UNSUPPORTED_VERSION", "errors.UnsupportedVersionException", Final,
        "The version of API is not supported."),
    (36, TopicAlreadyExists, "TOPIC_ALREADY_EXISTS", "errors.TopicExistsException", Final,
        "Topic with this name already exists."),
    (37, InvalidPartitions, "INVALID_PARTITIONS", "errors.InvalidPartitionsException", Final,
        "Number of partitions is below 1."),
    (38, InvalidReplicationFactor, "INVALID_REPLICATION_FACTOR", "errors.InvalidReplicationFactorException", Final,
        "Replication factor is below 1 or larger than the number of available brokers."),
    (39, InvalidReplicaAssignment, "INVALID_REPLICA_ASSIGNMENT", "errors.InvalidReplicaAssignmentException", Final,
        "Replica assignment is invalid."),
    (40, InvalidConfig, "INVALID_CONFIG", "errors.InvalidConfigurationException", Final,
        "Configuration is invalid."),
    (41, NotController, "NOT_CONTROLLER", "errors.NotControllerException", Retriable,
        "This is not the correct controller for this cluster."),
    (42, InvalidRequest, "INVALID_REQUEST", "errors.InvalidRequestException", Final,
        "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details."),
    (43, UnsupportedForMessageFormat, "UNSUPPORTED_FOR_MESSAGE_FORMAT", "errors.UnsupportedForMessageFormatException", Final,
        "The message format version on the broker does not support the request."),
    (44, PolicyViolation, "POLICY_VIOLATION", "errors.PolicyViolationException", Final,
        "Request parameters do not satisfy the configured policy."),
    (45, OutOfOrderSequenceNumber, "OUT_OF_ORDER_SEQUENCE_NUMBER", "errors.OutOfOrderSequenceException", Final,
        "The broker received an out of order sequence number."),
    (46, DuplicateSequenceNumber, "DUPLICATE_SEQUENCE_NUMBER", "errors.DuplicateSequenceException", Final,
        "The broker received a duplicate sequence number."),
    (47, InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH", "errors.InvalidProducerEpochException", Final,
        "Producer attempted to produce with an old epoch."),
    (48, InvalidTxnState, "INVALID_TXN_STATE", "errors.InvalidTxnStateException", Final,
        "The producer attempted a transactional operation in an invalid state."),
    (49, InvalidProducerIdMapping, "INVALID_PRODUCER_ID_MAPPING", "errors.InvalidPidMappingException", Final,
        "The producer attempted to use a producer id which is not currently assigned to its transactional id."),
    (50, InvalidTransactionTimeout, "INVALID_TRANSACTION_TIMEOUT", "errors.InvalidTxnTimeoutException", Final,
        "The transaction timeout is larger than the maximum value allowed by the broker (as configured by transaction.max.timeout.ms)."),
    (51, ConcurrentTransactions, "CONCURRENT_TRANSACTIONS", "errors.ConcurrentTransactionsException", Retriable,
        "The producer attempted to update a transaction while another concurrent operation on the same transaction was ongoing."),
    (52, TransactionCoordinatorFenced, "TRANSACTION_COORDINATOR_FENCED", "errors.TransactionCoordinatorFencedException", Final,
        "Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current coordinator for a given producer."),
    (53, TransactionalIdAuthorizationFailed, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "errors.TransactionalIdAuthorizationException", Final,
        "Transactional Id authorization failed."),
    (54, SecurityDisabled, "SECURITY_DISABLED", "errors.SecurityDisabledException", Final,
        "Security features are disabled."),
    (55, OperationNotAttempted, "OPERATION_NOT_ATTEMPTED", "errors.OperationNotAttemptedException", Final,
        "The broker did not attempt to execute this operation. This may happen for batched RPCs where some operations in the batch failed, causing the broker to respond without trying the rest."),
    (56, KafkaStorageError, "KAFKA_STORAGE_ERROR", "errors.KafkaStorageException", Retriable,
        "Disk error when trying to access log file on the disk."),
    (57, LogDirNotFound, "LOG_DIR_NOT_FOUND", "errors.LogDirNotFoundException", Final,
        "The user-specified log directory is not found in the broker config."),
    (58, SaslAuthenticationFailed, "SASL_AUTHENTICATION_FAILED", "errors.SaslAuthenticationException", Final,
        "SASL Authentication failed."),
    (59, UnknownProducerId, "UNKNOWN_PRODUCER_ID", "errors.UnknownProducerIdException", Final,
        "This exception is raised by the broker if it could not locate the producer metadata associated with the producerId in question. This could happen if, for instance, the producer's records were deleted because their retention time had elapsed. Once the last records of the producerId are removed, the producer's metadata is removed from the broker, and future appends by the producer will return this exception."),
    (60, ReassignmentInProgress, "REASSIGNMENT_IN_PROGRESS", "errors.ReassignmentInProgressException", Final,
        "A partition reassignment is in progress."),
    (61, DelegationTokenAuthDisabled, "DELEGATION_TOKEN_AUTH_DISABLED", "errors.DelegationTokenDisabledException", Final,
        "Delegation Token feature is not enabled."),
    (62, DelegationTokenNotFound, "DELEGATION_TOKEN_NOT_FOUND", "errors.DelegationTokenNotFoundException", Final,
        "Delegation Token is not found on server."),
    (63, DelegationTokenOwnerMismatch, "DELEGATION_TOKEN_OWNER_MISMATCH", "errors.DelegationTokenOwnerMismatchException", Final,
        "Specified Principal is not valid Owner/Renewer."),
    (64, DelegationTokenRequestNotAllowed, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "errors.UnsupportedByAuthenticationException", Final,
        "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels."),
    (65, DelegationTokenAuthorizationFailed, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "errors.DelegationTokenAuthorizationException", Final,
        "Delegation Token authorization failed."),
    (66, DelegationTokenExpired, "DELEGATION_TOKEN_EXPIRED", "errors.DelegationTokenExpiredException", Final,
        "Delegation Token is expired."),
    (67, InvalidPrincipalType, "INVALID_PRINCIPAL_TYPE", "errors.InvalidPrincipalTypeException", Final,
        "Supplied principalType is not supported."),
    (68, NonEmptyGroup, "NON_EMPTY_GROUP", "errors.GroupNotEmptyException", Final,
        "The group is not empty."),
    (69, GroupIdNotFound, "GROUP_ID_NOT_FOUND", "errors.GroupIdNotFoundException", Final,
        "The group id does not exist."),
    (70, FetchSessionIdNotFound, "FETCH_SESSION_ID_NOT_FOUND", "errors.FetchSessionIdNotFoundException", Retriable,
        "The fetch session ID was not found."),
    (71, InvalidFetchSessionEpoch, "INVALID_FETCH_SESSION_EPOCH", "errors.InvalidFetchSessionEpochException", Retriable,
        "The fetch session epoch is invalid."),
    (72, ListenerNotFound, "LISTENER_NOT_FOUND", "errors.ListenerNotFoundException", Retriable,
        "There is no listener on the leader broker that matches the listener on which metadata request was processed."),
    (73, TopicDeletionDisabled, "TOPIC_DELETION_DISABLED", "errors.TopicDeletionDisabledException", Final,
        "Topic deletion is disabled."),
    (74, FencedLeaderEpoch, "FENCED_LEADER_EPOCH", "errors.FencedLeaderEpochException", Retriable,
        "The leader epoch in the request is older than the epoch on the broker."),
    (75, UnknownLeaderEpoch, "UNKNOWN_LEADER_EPOCH", "errors.UnknownLeaderEpochException", Retriable,
        "The leader epoch in the request is newer than the epoch on the broker."),
    (76, UnsupportedCompressionType, "UNSUPPORTED_COMPRESSION_TYPE", "errors.UnsupportedCompressionTypeException", Final,
        "The requesting client does not support the compression type of given partition."),
    (77, StaleBrokerEpoch, "STALE_BROKER_EPOCH", "errors.StaleBrokerEpochException", Final,
        "Broker epoch has changed."),
    (78, OffsetNotAvailable, "OFFSET_NOT_AVAILABLE", "errors.OffsetNotAvailableException", Retriable,
        "The leader high watermark has not caught up from a recent leader election so the offsets cannot be guaranteed to be monotonically increasing."),
    (79, MemberIdRequired, "MEMBER_ID_REQUIRED", "errors.MemberIdRequiredException", Final,
        "The group member needs to have a valid member id before actually entering a consumer group."),
    (80, PreferredLeaderNotAvailable, "PREFERRED_LEADER_NOT_AVAILABLE", "errors.PreferredLeaderNotAvailableException", Retriable,
        "The preferred leader was not available."),
    (81, GroupMaxSizeReached, "GROUP_MAX_SIZE_REACHED", "errors.GroupMaxSizeReachedException", Final,
        "The group has reached its maximum size."),
    (82, FencedInstanceId, "FENCED_INSTANCE_ID", "errors.FencedInstanceIdException", Final,
        "The broker rejected this static consumer since another consumer with the same group.instance.id has registered with a different member.id."),
    (83, EligibleLeadersNotAvailable, "ELIGIBLE_LEADERS_NOT_AVAILABLE", "errors.EligibleLeadersNotAvailableException", Retriable,
        "Eligible topic partition leaders are not available."),
    (84, ElectionNotNeeded, "ELECTION_NOT_NEEDED", "errors.ElectionNotNeededException", Retriable,
        "Leader election not needed for topic partition."),
    (85, NoReassignmentInProgress, "NO_REASSIGNMENT_IN_PROGRESS", "errors.NoReassignmentInProgressException", Final,
        "No partition reassignment is in progress."),
    (86, GroupSubscribedToTopic, "GROUP_SUBSCRIBED_TO_TOPIC", "errors.GroupSubscribedToTopicException", Final,
        "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."),
    (87, InvalidRecord, "INVALID_RECORD", "InvalidRecordException", Final,
        "This record has failed the validation on broker and hence will be rejected."),
    (88, UnstableOffsetCommit, "UNSTABLE_OFFSET_COMMIT", "errors.UnstableOffsetCommitException", Retriable,
        "There are unstable offsets that need to be cleared."),
    (89, ThrottlingQuotaExceeded, "THROTTLING_QUOTA_EXCEEDED", "errors.ThrottlingQuotaExceededException", Retriable,
        "The throttling quota has been exceeded."),
    (90, ProducerFenced, "PRODUCER_FENCED", "errors.ProducerFencedException", Final,
        "There is a newer producer with the same transactionalId which fences the current one."),
    (91, ResourceNotFound, "RESOURCE_NOT_FOUND", "errors.ResourceNotFoundException", Final,
        "A request illegally referred to a resource that does not exist."),
    (92, DuplicateResource, "DUPLICATE_RESOURCE", "errors.DuplicateResourceException", Final,
        "A request illegally referred to the same resource twice."),
    (93, UnacceptableCredential, "UNACCEPTABLE_CREDENTIAL", "errors.UnacceptableCredentialException", Final,
        "Requested credential would not meet criteria for acceptability."),
    (94, InconsistentVoterSet, "INCONSISTENT_VOTER_SET", "errors.InconsistentVoterSetException", Final,
        "Indicates that the either the sender or recipient of a voter-only request is not one of the expected voters."),
    (95, InvalidUpdateVersion, "INVALID_UPDATE_VERSION", "errors.InvalidUpdateVersionException", Final,
        "The given update version was invalid."),
    (96, FeatureUpdateFailed, "FEATURE_UPDATE_FAILED", "errors.FeatureUpdateFailedException", Final,
        "Unable to update finalized features due to an unexpected server error."),
    (97, PrincipalDeserializationFailure, "PRINCIPAL_DESERIALIZATION_FAILURE", "errors.PrincipalDeserializationException", Final,
        "Request principal deserialization failed during forwarding. This indicates an internal error on the broker cluster security setup."),
    (98, SnapshotNotFound, "SNAPSHOT_NOT_FOUND", "errors.SnapshotNotFoundException", Final,
        "Requested snapshot was not found."),
    (99, PositionOutOfRange, "POSITION_OUT_OF_RANGE", "errors.PositionOutOfRangeException", Final,
        "Requested position is not greater than or equal to zero, and less than the size of the snapshot."),
    (100, UnknownTopicId, "UNKNOWN_TOPIC_ID", "errors.UnknownTopicIdException", Retriable,
        "This server does not host this topic ID."),
    (101, DuplicateBrokerRegistration, "DUPLICATE_BROKER_REGISTRATION", "errors.DuplicateBrokerRegistrationException", Final,
        "This broker ID is already in use."),
    (102, BrokerIdNotRegistered, "BROKER_ID_NOT_REGISTERED", "errors.BrokerIdNotRegisteredException", Final,
        "The given broker ID was not registered."),
    (103, InconsistentTopicId, "INCONSISTENT_TOPIC_ID", "errors.InconsistentTopicIdException", Retriable,
        "The log's topic ID did not match the topic ID in the request."),
    (104, InconsistentClusterId, "INCONSISTENT_CLUSTER_ID", "errors.InconsistentClusterIdException", Final,
        "The clusterId in the request does not match that found on the server."),
    (105, TransactionalIdNotFound, "TRANSACTIONAL_ID_NOT_FOUND", "errors.TransactionalIdNotFoundException", Final,
        "The transactionalId could not be found."),
    (106, FetchSessionTopicIdError, "FETCH_SESSION_TOPIC_ID_ERROR", "errors.FetchSessionTopicIdException", Retriable,
        "The fetch session encountered inconsistent topic ID usage."),
    (107, IneligibleReplica, "INELIGIBLE_REPLICA", "errors.IneligibleReplicaException", Final,
        "The new ISR contains at least one ineligible replica."),
    (108, NewLeaderElected, "NEW_LEADER_ELECTED", "errors.NewLeaderElectedException", Final,
        "The AlterPartition request successfully updated the partition state but the leader has changed."),
    (109, OffsetMovedToTieredStorage, "OFFSET_MOVED_TO_TIERED_STORAGE", "errors.OffsetMovedToTieredStorageException", Final,
        "The requested offset is moved to tiered storage."),
    (110, FencedMemberEpoch, "FENCED_MEMBER_EPOCH", "errors.FencedMemberEpochException", Final,
        "The member epoch is fenced by the group coordinator. The member must abandon all its partitions and rejoin."),
    (111, UnreleasedInstanceId, "UNRELEASED_INSTANCE_ID", "errors.UnreleasedInstanceIdException", Final,
        "The instance ID is still used by another member in the consumer group. That member must leave first."),
    (112, UnsupportedAssignor, "UNSUPPORTED_ASSIGNOR", "errors.UnsupportedAssignorException", Final,
        "The assignor or its version range is not supported by the consumer group."),
    (113, StaleMemberEpoch, "STALE_MEMBER_EPOCH", "errors.StaleMemberEpochException", Final,
        "The member epoch is stale. The member must retry after receiving its updated member epoch via the ConsumerGroupHeartbeat API."),
    (114, MismatchedEndpointType, "MISMATCHED_ENDPOINT_TYPE", "errors.MismatchedEndpointTypeException", Final,
        "The request was sent to an endpoint of the wrong type."),
    (115, UnsupportedEndpointType, "UNSUPPORTED_ENDPOINT_TYPE", "errors.UnsupportedEndpointTypeException", Final,
        "This endpoint type is not supported yet."),
    (116, UnknownControllerId, "UNKNOWN_CONTROLLER_ID", "errors.UnknownControllerIdException", Final,
        "This controller ID is not known."),
    (117, UnknownSubscriptionId, "UNKNOWN_SUBSCRIPTION_ID", "errors.UnknownSubscriptionIdException", Final,
        "Client sent a push telemetry request with an invalid or outdated subscription ID."),
    (118, TelemetryTooLarge, "TELEMETRY_TOO_LARGE", "errors.TelemetryTooLargeException", Final,
        "Client sent a push telemetry request larger than the maximum size the broker will accept."),
    (119, InvalidRegistration, "INVALID_REGISTRATION", "errors.InvalidRegistrationException", Final,
        "The controller has considered the broker registration to be invalid."),
    (120, TransactionAbortable, "TRANSACTION_ABORTABLE", "errors.TransactionAbortableException", Final,
        "The server encountered an error with the transaction. The client can abort the transaction to continue using this transactional ID."),
    (121, InvalidRecordState, "INVALID_RECORD_STATE", "errors.InvalidRecordStateException", Final,
        "The record state is invalid. The acknowledgement of delivery could not be completed."),
    (122, ShareSessionNotFound, "SHARE_SESSION_NOT_FOUND", "errors.ShareSessionNotFoundException", Retriable,
        "The share session was not found."),
    (123, InvalidShareSessionEpoch, "INVALID_SHARE_SESSION_EPOCH", "errors.InvalidShareSessionEpochException", Retriable,
        "The share session epoch is invalid."),
    (124, FencedStateEpoch, "FENCED_STATE_EPOCH", "errors.FencedStateEpochException", Final,
        "The share coordinator rejected the request because the share-group state epoch did not match."),
    (125, InvalidVoterKey, "INVALID_VOTER_KEY", "errors.InvalidVoterKeyException", Final,
        "The voter key doesn't match the receiving replica's key."),
    (126, DuplicateVoter, "DUPLICATE_VOTER", "errors.DuplicateVoterException", Final,
        "The voter is already part of the set of voters."),
    (127, VoterNotFound, "VOTER_NOT_FOUND", "errors.VoterNotFoundException", Final,
        "The voter is not part of the set of voters."),
    (128, InvalidRegularExpression, "INVALID_REGULAR_EXPRESSION", "errors.InvalidRegularExpression", Final,
        "The regular expression is not valid."),
    (129, RebootstrapRequired, "REBOOTSTRAP_REQUIRED", "errors.RebootstrapRequiredException", Final,
        "Client metadata is stale. The client should rebootstrap to obtain new metadata."),
    (130, StreamsInvalidTopology, "STREAMS_INVALID_TOPOLOGY", "errors.StreamsInvalidTopologyException", Final,
        "The supplied topology is invalid."),
    (131, StreamsInvalidTopologyEpoch, "STREAMS_INVALID_TOPOLOGY_EPOCH", "errors.StreamsInvalidTopologyEpochException", Final,
        "The supplied topology epoch is invalid."),
    (132, StreamsTopologyFenced, "STREAMS_TOPOLOGY_FENCED", "errors.StreamsTopologyFencedException", Final,
        "The supplied topology epoch is outdated."),
    (133, ShareSessionLimitReached, "SHARE_SESSION_LIMIT_REACHED", "errors.ShareSessionLimitReachedException", Retriable,
        "The limit of share sessions has been reached."),
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name of it, such as `UNKNOWN_TOPIC_OR_PARTITION`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The message that Kafka gives where it has nothing better to say.
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.row().message
    }

    /// Whether the same request may succeed later: the exception is a `RetriableException`.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(self.row().retry, Retry::Retriable)
    }

    /// Whether anything is wrong at all.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::None)
    }

    /// The full name of the Java exception that tools print; `None` where there is no error.
    #[must_use]
    pub fn exception_name(self) -> Option<String> {
        self.is_error().then(|| format!("{EXCEPTION_PACKAGE}{}", self.row().exception))
    }
}

impl Default for ErrorCode {
    fn default() -> Self {
        Self::None
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<ErrorCode> for i16 {
    fn from(error: ErrorCode) -> Self {
        error.code()
    }
}

/// The code that a client of an older version knows in place of `error` (`KafkaApis` does the same
/// in the places where it answers).
#[must_use]
pub const fn downgrade_error(key: ApiKey, version: i16, error: ErrorCode) -> ErrorCode {
    use ErrorCode as E;
    match (key, error) {
        (ApiKey::Fetch, E::KafkaStorageError) if version <= 5 => E::NotLeaderOrFollower,
        (ApiKey::Metadata, E::ListenerNotFound) if version <= 5 => E::LeaderNotAvailable,
        (ApiKey::InitProducerId, E::ProducerFenced) if version < 4 => E::InvalidProducerEpoch,
        (
            ApiKey::AddPartitionsToTxn | ApiKey::AddOffsetsToTxn | ApiKey::EndTxn,
            E::ProducerFenced,
        ) if version < 2 => E::InvalidProducerEpoch,
        (ApiKey::TxnOffsetCommit, E::CoordinatorLoadInProgress) if version < 2 => {
            E::CoordinatorNotAvailable
        }
        (_, error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_without_gaps_and_round_trip() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|error| error.code()).collect();
        assert_eq!(codes, (-1..=133).collect::<Vec<i16>>());
        for &error in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(error.code()), Some(error));
        }
        assert_eq!(ErrorCode::from_code(134), None);
    }

    #[test]
    fn names_and_exceptions_are_kafkas() {
        let error = ErrorCode::TopicAlreadyExists;
        assert_eq!((error.code(), error.name()), (36, "TOPIC_ALREADY_EXISTS"));
        assert_eq!(error.message(), "Topic with this name already exists.");
        assert_eq!(
            error.exception_name().as_deref(),
            Some("org.apache.kafka.common.errors.TopicExistsException")
        );
        assert_eq!(
            ErrorCode::InvalidRecord.exception_name().as_deref(),
            Some("org.apache.kafka.common.InvalidRecordException")
        );
        assert_eq!(ErrorCode::None.exception_name(), None);
    }

    #[test]
    fn retriable_are_those_of_the_java_client() {
        let retriable: Vec<i16> = ErrorCode::ALL
            .iter()
            .filter(|error| error.is_retriable())
            .map(|error| error.code())
            .collect();
        let expected = [
            2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83,
            84, 88, 89, 100, 103, 106, 122, 123, 133,
        ];
        assert_eq!(retriable, expected);
    }

    #[test]
    fn old_versions_get_the_errors_they_know() {
        use ErrorCode as E;
        let cases = [
            (ApiKey::Fetch, 5, E::KafkaStorageError, E::NotLeaderOrFollower),
            (ApiKey::Fetch, 6, E::KafkaStorageError, E::KafkaStorageError),
            (ApiKey::Metadata, 5, E::ListenerNotFound, E::LeaderNotAvailable),
            (ApiKey::Metadata, 6, E::ListenerNotFound, E::ListenerNotFound),
            (ApiKey::InitProducerId, 3, E::ProducerFenced, E::InvalidProducerEpoch),
            (ApiKey::InitProducerId, 4, E::ProducerFenced, E::ProducerFenced),
            (ApiKey::EndTxn, 1, E::ProducerFenced, E::InvalidProducerEpoch),
            (ApiKey::EndTxn, 2, E::ProducerFenced, E::ProducerFenced),
            (ApiKey::TxnOffsetCommit, 1, E::CoordinatorLoadInProgress, E::CoordinatorNotAvailable),
            (
                ApiKey::TxnOffsetCommit,
                2,
                E::CoordinatorLoadInProgress,
                E::CoordinatorLoadInProgress,
            ),
            (ApiKey::Produce, 3, E::KafkaStorageError, E::KafkaStorageError),
        ];
        for (key, version, error, expected) in cases {
            assert_eq!(downgrade_error(key, version, error), expected, "{key} v{version}");
        }
    }
}
