//! Members of the classic protocol in a consumer group, while the group moves from one protocol to
//! the other: JoinGroup, SyncGroup and Heartbeat of them.
//!
//! The broker assigns for them too, so there is no leader. A member is told to join again whenever
//! there is something to give up or to take; its answers never wait for the others.

use std::collections::BTreeMap;

use bytes::Bytes;
use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::heartbeat::HeartbeatRequest;
use kalda_protocol::messages::join_group::{JoinGroupRequest, JoinGroupResponse};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use kalda_protocol::stored::consumer_protocol::assignment::TopicPartition;
use kalda_protocol::stored::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use kalda_protocol::stored::group::ConsumerGroupMemberMetadataValue;
use kalda_protocol::stored::group::consumer_group_member_metadata::{
    ClassicMemberMetadata, ClassicProtocol,
};
use kalda_protocol::stored::{decode_versioned_lenient, encode_versioned};

use super::state::{ConsumerMember, ConsumerState, MemberState, Partitions};
use super::{ConsumerGroup, Draft, subscription};
use crate::classic::{CONSUMER, Join, MEMBER_ID_REQUIRED_SINCE, Membership, sync_error};
use crate::decision::Turn;
use crate::settings::GroupSettings;

/// The newest layout of an assignment.
const ASSIGNMENT_VERSION_MAX: i16 = 3;

/// What comes of a JoinGroup.
#[derive(Debug)]
pub(crate) enum ClassicJoin {
    Answer(JoinGroupResponse),
    /// It takes the place of the last member that spoke the consumer protocol: the group is a
    /// classic one from here on.
    ReplacesLast {
        old_id: String,
        new_id: String,
    },
}

/// A refusal, and the member id that goes with it.
type Refused = (ErrorCode, String);

impl ConsumerGroup {
    /// Takes a classic member in, or in again.
    pub(crate) fn on_classic_join(
        &mut self,
        id: &str,
        join: Join<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<ClassicJoin, Refused> {
        let request = join.request;
        let instance = request.group_instance_id.as_deref();
        let holder = instance.and_then(|id| self.state.instance(id)).map(str::to_owned);
        let subscription = self.check_join(join, holder.as_deref(), turn.settings)?;
        let is_unknown = request.member_id.is_empty();
        let member_id =
            if is_unknown { join.new_member_id(turn) } else { request.member_id.clone() };
        if is_unknown && instance.is_none() && join.caller.api_version >= MEMBER_ID_REQUIRED_SINCE {
            return Err((ErrorCode::MemberIdRequired, member_id));
        }
        let mut draft = Draft::new(id, &self.state);
        if let Some(old_id) = holder.filter(|holder| *holder != member_id) {
            if self.is_last_consumer(&old_id, turn.settings) {
                return Ok(ClassicJoin::ReplacesLast { old_id, new_id: member_id });
            }
            draft.replace_member(&old_id, &member_id);
            self.deadlines.forget(&old_id);
        }
        let owned = owned_partitions(&subscription, turn.cx.image);
        let old = draft.state.members.get(&member_id).map(|member| member.metadata.clone());
        let metadata = joined_metadata(join, subscription, old.unwrap_or_else(subscription::blank));
        let told = subscription::put(&mut draft, &member_id, metadata);
        let now = self.advance(&mut draft, &member_id, told, Some(&owned), turn);
        self.deadlines.renew_session(&member_id, turn.now_ms(), request.session_timeout_ms);
        self.deadlines.on_joined(&member_id, turn.now_ms(), join.rebalance_timeout_ms());
        turn.out.records.extend(draft.into_records());
        Ok(ClassicJoin::Answer(JoinGroupResponse {
            generation_id: now.epoch,
            protocol_type: Some(CONSUMER.to_owned()),
            protocol_name: request.protocols.first().map(|protocol| protocol.name.clone()),
            member_id,
            ..JoinGroupResponse::default()
        }))
    }

    /// Whether the join is in order; what it subscribes to.
    fn check_join(
        &self,
        join: Join<'_>,
        holder: Option<&str>,
        settings: &GroupSettings,
    ) -> Result<ConsumerProtocolSubscription, Refused> {
        let request = join.request;
        let member_id = request.member_id.as_str();
        let refused = |error: ErrorCode| (error, member_id.to_owned());
        let is_known = self.state.members.contains_key(member_id) || holder.is_some();
        if !is_known && self.state.members.len() >= settings.consumer_max_group_size {
            return Err((ErrorCode::GroupMaxSizeReached, String::new()));
        }
        if request.protocol_type != CONSUMER || !supports(&self.state, request) {
            return Err(refused(ErrorCode::InconsistentGroupProtocol));
        }
        if request.group_instance_id.is_some() && !member_id.is_empty() {
            match holder {
                None => return Err(refused(ErrorCode::UnknownMemberId)),
                Some(holder) if holder != member_id => {
                    return Err(refused(ErrorCode::FencedInstanceId));
                }
                Some(_) => {}
            }
        }
        // All protocols of a consumer carry the same subscription.
        let metadata = request.protocols.first().map(|protocol| protocol.metadata.clone());
        decode_versioned_lenient(metadata.unwrap_or_default())
            .map_err(|_| refused(ErrorCode::InconsistentGroupProtocol))
    }

    /// Whether all others speak the classic protocol, and the group may become one of theirs.
    fn is_last_consumer(&self, member_id: &str, settings: &GroupSettings) -> bool {
        let mut others = self.state.members.iter().filter(|(id, _)| *id != member_id);
        let member = self.state.members.get(member_id);
        member.is_some_and(|member| member.classic().is_none())
            && others.all(|(_, member)| member.classic().is_some())
            && settings.consumer_migration_policy.allows_downgrade()
            && self.state.members.len() <= settings.max_group_size
    }

    /// Gives a classic member its assignment.
    pub(crate) fn on_classic_sync(
        &mut self,
        request: &SyncGroupRequest,
        turn: &Turn<'_>,
    ) -> SyncGroupResponse {
        match self.sync(request, turn) {
            Ok(response) => response,
            Err(error) => sync_error(error),
        }
    }

    fn sync(
        &mut self,
        request: &SyncGroupRequest,
        turn: &Turn<'_>,
    ) -> Result<SyncGroupResponse, ErrorCode> {
        let who = Membership {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        };
        let (member, classic) = self.classic_member(who)?;
        let protocol = classic.supported_protocols.first();
        let name = protocol.map(|protocol| protocol.name.as_str());
        let other_type = request.protocol_type.as_deref().is_some_and(|told| told != CONSUMER);
        let other_name = request.protocol_name.as_deref().is_some_and(|told| Some(told) != name);
        if other_type || other_name {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let behind = member.current.epoch < self.state.epoch;
        // Who still has to give partitions up learns of that first.
        if behind && member.current.state != MemberState::UnrevokedPartitions {
            let timeout_ms = member.metadata.rebalance_timeout_ms;
            self.deadlines.expect_join(who.member_id, turn.now_ms(), timeout_ms);
            return Err(ErrorCode::RebalanceInProgress);
        }
        let metadata = protocol.map(|protocol| protocol.metadata.clone()).unwrap_or_default();
        let assignment = client_assignment(&member.current.assigned, &metadata, turn.cx.image);
        let session_ms = classic.session_timeout_ms;
        self.deadlines.on_synced(who.member_id);
        self.deadlines.renew_session(who.member_id, turn.now_ms(), session_ms);
        Ok(SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment,
            ..SyncGroupResponse::default()
        })
    }

    /// Keeps a classic member in the group, and tells it to join again if there is something for it.
    pub(crate) fn on_classic_heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        now_ms: i64,
    ) -> ErrorCode {
        let who = Membership {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        };
        let (member, classic) = match self.classic_member(who) {
            Ok(found) => found,
            Err(error) => return error,
        };
        let joins = member.current.epoch < self.state.epoch
            || match member.current.state {
                MemberState::Stable => false,
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => {
                    !waits_for_others(&self.state, who.member_id, member)
                }
            };
        let timeout_ms = member.metadata.rebalance_timeout_ms;
        let session_ms = classic.session_timeout_ms;
        self.deadlines.renew_session(who.member_id, now_ms, session_ms);
        if joins {
            self.deadlines.expect_join(who.member_id, now_ms, timeout_ms);
            return ErrorCode::RebalanceInProgress;
        }
        ErrorCode::None
    }

    /// The member that sends, if it speaks the classic protocol and is where it should be.
    fn classic_member(
        &self,
        who: Membership<'_>,
    ) -> Result<(&ConsumerMember, &ClassicMemberMetadata), ErrorCode> {
        self.check_identity(who.member_id, who.instance_id)?;
        let member = self.state.members.get(who.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        let classic = member.classic().ok_or(ErrorCode::UnknownMemberId)?;
        if member.current.epoch == who.generation {
            Ok((member, classic))
        } else {
            Err(ErrorCode::IllegalGeneration)
        }
    }

    /// Whether the sender is who it says. A known instance under another id has been replaced.
    pub(crate) fn check_identity(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance) = instance_id {
            let holder = self.state.instance(instance).ok_or(ErrorCode::UnknownMemberId)?;
            if holder != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        let is_member = self.state.members.contains_key(member_id);
        if is_member { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }
}

/// Whether one of the protocols is offered by all classic members.
fn supports(state: &ConsumerState, request: &JoinGroupRequest) -> bool {
    let offers = |classic: &ClassicMemberMetadata, name: &str| {
        classic.supported_protocols.iter().any(|protocol| protocol.name == name)
    };
    request.protocols.iter().any(|offer| {
        state
            .members
            .values()
            .all(|member| member.classic().is_none_or(|classic| offers(classic, &offer.name)))
    })
}

/// What the log is to hold of a member after its join.
fn joined_metadata(
    join: Join<'_>,
    subscription: ConsumerProtocolSubscription,
    old: ConsumerGroupMemberMetadataValue,
) -> ConsumerGroupMemberMetadataValue {
    let request = join.request;
    let protocols = request.protocols.iter().map(|protocol| ClassicProtocol {
        name: protocol.name.clone(),
        metadata: protocol.metadata.clone(),
    });
    ConsumerGroupMemberMetadataValue {
        instance_id: request.group_instance_id.clone().or(old.instance_id),
        rack_id: subscription.rack_id.or(old.rack_id),
        client_id: join.caller.client_id.clone(),
        client_host: join.caller.client_host.clone(),
        subscribed_topic_names: subscription::sorted(subscription.topics),
        subscribed_topic_regex: None,
        rebalance_timeout_ms: join.rebalance_timeout_ms(),
        server_assignor: old.server_assignor,
        classic_member_metadata: Some(ClassicMemberMetadata {
            session_timeout_ms: request.session_timeout_ms,
            supported_protocols: protocols.collect(),
        }),
    }
}

/// What the member says that it still has, of topics that there are.
fn owned_partitions(subscription: &ConsumerProtocolSubscription, image: &Image) -> Partitions {
    let known = subscription.owned_partitions.iter().filter_map(|owned| {
        let id = image.topics.by_name(&owned.topic)?.id;
        Some(owned.partitions.iter().map(move |partition| (id, *partition)))
    });
    known.flatten().collect()
}

/// Whether others still hold something of what the member lacks.
fn waits_for_others(state: &ConsumerState, member_id: &str, member: &ConsumerMember) -> bool {
    let Some(target) = state.targets.get(member_id) else { return false };
    let mut missing = target.difference(&member.current.assigned);
    missing.any(|partition| {
        state.members.iter().any(|(id, other)| {
            let current = &other.current;
            id != member_id
                && (current.assigned.contains(partition) || current.revoking.contains(partition))
        })
    })
}

/// Partitions as a client of the classic protocol reads them, in the version of its subscription.
pub(crate) fn client_assignment(
    partitions: &Partitions,
    subscription: &Bytes,
    image: &Image,
) -> Bytes {
    let version = match subscription.first_chunk() {
        Some(version) => i16::from_be_bytes(*version).clamp(0, ASSIGNMENT_VERSION_MAX),
        None => 0,
    };
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic_id, partition) in partitions {
        // Topics that are gone have no name any more.
        if let Some(topic) = image.topics.by_id(*topic_id) {
            topics.entry(&topic.name).or_default().push(*partition);
        }
    }
    let assigned_partitions = topics
        .into_iter()
        .map(|(topic, partitions)| TopicPartition { topic: topic.to_owned(), partitions })
        .collect();
    let assignment = ConsumerProtocolAssignment { assigned_partitions, user_data: None };
    encode_versioned(&assignment, version).expect("names of topics are short")
}
