//! The requests that a group shard understands and their answers, on the messages of the protocol.
//!
//! The server splits requests that name several groups, one part per partition of
//! `__consumer_offsets`, and puts the answers together.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::consumer_group_describe as consumer_describe;
use kalda_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use kalda_protocol::messages::delete_groups::DeletableGroupResult;
use kalda_protocol::messages::describe_groups::DescribedGroup;
use kalda_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use kalda_protocol::messages::join_group::{JoinGroupRequest, JoinGroupResponse};
use kalda_protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use kalda_protocol::messages::list_groups::ListedGroup;
use kalda_protocol::messages::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use kalda_protocol::messages::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use kalda_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchResponseGroup};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use kalda_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// From the request header; empty where it is null.
    pub client_id: String,
    /// The address as Kafka writes it: `/127.0.0.1`.
    pub client_host: String,
    /// The version of the request, and so of its answer.
    pub api_version: i16,
}

/// A request to the groups of one shard.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // Each variant is the request of that name.
pub enum GroupRequest {
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    Leave(LeaveGroupRequest),
    OffsetCommit(OffsetCommitRequest),
    TxnOffsetCommit(TxnOffsetCommitRequest),
    /// One group of a request; the caller has turned versions below 8 into this form.
    OffsetFetch {
        group: OffsetFetchRequestGroup,
        require_stable: bool,
    },
    OffsetDelete(OffsetDeleteRequest),
    /// The ids of the groups.
    Describe(Vec<String>),
    /// Empty filters let everything through.
    List {
        states: Vec<String>,
        types: Vec<String>,
    },
    /// The ids of the groups.
    Delete(Vec<String>),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest),
    /// The ids of the groups.
    ConsumerGroupDescribe(Vec<String>),
}

/// The answer to the [`GroupRequest`] of the same name.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum GroupResponse {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    Leave(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    TxnOffsetCommit(TxnOffsetCommitResponse),
    OffsetFetch(OffsetFetchResponseGroup),
    OffsetDelete(OffsetDeleteResponse),
    Describe(Vec<DescribedGroup>),
    /// The groups of the shard, or why they cannot be told of.
    List(Result<Vec<ListedGroup>, ErrorCode>),
    Delete(Vec<DeletableGroupResult>),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    ConsumerGroupDescribe(Vec<consumer_describe::DescribedGroup>),
}

impl GroupResponse {
    /// The same answer turned into a refusal: for a decision that was never carried out. Errors that
    /// parts of the answer already have are kept.
    #[must_use]
    pub fn into_error(mut self, error: ErrorCode) -> Self {
        let code = error.code();
        let fail = |slot: &mut i16| {
            if *slot == ErrorCode::None.code() {
                *slot = code;
            }
        };
        match &mut self {
            Self::Join(response) => {
                fail(&mut response.error_code);
                response.generation_id = -1;
                response.protocol_type = None;
                response.protocol_name = response.protocol_name.take().map(|_| String::new());
                response.leader.clear();
                response.skip_assignment = false;
                response.members.clear();
            }
            Self::Sync(response) => *response = crate::classic::sync_error(error),
            Self::Heartbeat(response) => fail(&mut response.error_code),
            Self::Leave(response) => fail(&mut response.error_code),
            Self::OffsetCommit(response) => response
                .topics
                .iter_mut()
                .flat_map(|topic| &mut topic.partitions)
                .for_each(|partition| fail(&mut partition.error_code)),
            Self::TxnOffsetCommit(response) => response
                .topics
                .iter_mut()
                .flat_map(|topic| &mut topic.partitions)
                .for_each(|partition| fail(&mut partition.error_code)),
            Self::OffsetFetch(response) => {
                fail(&mut response.error_code);
                response.topics.clear();
            }
            Self::OffsetDelete(response) => {
                fail(&mut response.error_code);
                response.topics.clear();
            }
            Self::Describe(groups) => {
                groups.iter_mut().for_each(|group| fail(&mut group.error_code));
            }
            // The error of a listing stands beside the groups, and the caller writes it.
            Self::List(groups) => *groups = Err(error),
            Self::Delete(groups) => {
                groups.iter_mut().for_each(|group| fail(&mut group.error_code));
            }
            Self::ConsumerGroupHeartbeat(response) => {
                fail(&mut response.error_code);
                response.assignment = None;
            }
            Self::ConsumerGroupDescribe(groups) => {
                groups.iter_mut().for_each(|group| fail(&mut group.error_code));
            }
        }
        self
    }
}
