//! A classic group that becomes one of the consumer protocol while it has members, and the way back
//! (KIP-848's online migration). Called by the shard, which decides whether it may be.

use std::collections::BTreeSet;

use bytes::Bytes;
use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::join_group::JoinGroupResponse;
use kalda_protocol::stored::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use kalda_protocol::stored::decode_versioned_lenient;
use kalda_protocol::stored::group::ConsumerGroupMemberMetadataValue;
use kalda_protocol::stored::group::consumer_group_member_metadata::{
    ClassicMemberMetadata, ClassicProtocol,
};

use super::group::{CONSUMER, ClassicGroup, GroupState, JoinTimer};
use super::join::{Join, MEMBER_ID_REQUIRED_SINCE, join_error};
use super::member::Member;
use crate::consumer::{
    ConsumerMember, ConsumerState, Current, Partitions, client_assignment, sorted,
};
use crate::decision::{CoordinatorRecord, Turn};
use crate::request::GroupResponse;

/// A static member of the classic protocol, in the place of one of the consumer protocol.
#[derive(Clone, Copy)]
pub(crate) struct Successor<'a> {
    pub(crate) join: Join<'a>,
    pub(crate) old_id: &'a str,
    pub(crate) new_id: &'a str,
}

impl ClassicGroup {
    /// The group as one of the consumer protocol, with all its members in the epoch that their
    /// generation is. It has the hash of no metadata at all: the broker makes a plan of its own,
    /// whatever the leader's was.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(crate) fn to_consumer_state(&self, image: &Image) -> Result<ConsumerState, &'static str> {
        if !self.is_consumer_group() {
            return Err("the group does not use the consumer embedded protocol");
        }
        let mut state = ConsumerState {
            epoch: self.generation,
            target_epoch: self.generation,
            ..ConsumerState::default()
        };
        let mut taken = Partitions::new();
        for member in self.members.values().filter(|member| !member.is_nameless()) {
            let metadata = self.subscription_of(member);
            let subscription: ConsumerProtocolSubscription = decode_versioned_lenient(metadata)
                .map_err(|_| "the embedded consumer protocol is malformed")?;
            let mut assigned = self.assigned_to(&member.id, image)?;
            // What a leader gave to two members is one's only from here on.
            assigned.retain(|partition| taken.insert(*partition));
            let current = Current {
                epoch: self.generation,
                previous_epoch: self.generation,
                assigned: assigned.clone(),
                ..Current::default()
            };
            let metadata = member.to_consumer_metadata(subscription);
            state.targets.insert(member.id.clone(), assigned);
            state.members.insert(member.id.clone(), ConsumerMember { metadata, current });
        }
        Ok(state)
    }

    /// Before the first generation there is no protocol yet; all that a consumer offers carry the
    /// same subscription.
    fn subscription_of(&self, member: &Member) -> Bytes {
        let chosen = self.protocol.as_deref().filter(|name| member.supports(name));
        match chosen.or(member.protocols.first().map(|(name, _)| name.as_str())) {
            Some(name) => member.metadata(name),
            None => Bytes::new(),
        }
    }

    /// What the member got at the last sync of the group: it may hold that still, whatever has
    /// happened since.
    fn assigned_to(&self, member_id: &str, image: &Image) -> Result<Partitions, &'static str> {
        let mut members = self.logged.iter().flat_map(|logged| &logged.members);
        let found = members.find(|member| member.member_id == member_id);
        let Some(blob) = found.map(|member| &member.assignment).filter(|blob| !blob.is_empty())
        else {
            return Ok(Partitions::new());
        };
        let assignment: ConsumerProtocolAssignment = decode_versioned_lenient(blob.clone())
            .map_err(|_| "the embedded consumer protocol is malformed")?;
        if assignment.user_data.is_some_and(|data| !data.is_empty()) {
            return Err("an unsupported custom assignor is in use");
        }
        let mut partitions = Partitions::new();
        for assigned in assignment.assigned_partitions {
            let Some(topic) = image.topics.by_name(&assigned.topic) else { continue };
            let known = assigned.partitions.into_iter();
            let known = known.filter(|partition| topic.partitions.contains_key(partition));
            partitions.extend(known.map(|partition| (topic.id, partition)));
        }
        Ok(partitions)
    }

    /// Its members, and how long each may be silent.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (&str, i32)> {
        self.members.values().map(|member| (member.id.as_str(), member.session_timeout_ms))
    }

    /// The group is converted: whoever waits for this one's join or sync joins the other.
    pub(crate) fn send_to_rejoin(&mut self, turn: &mut Turn<'_>) {
        let error = ErrorCode::RebalanceInProgress;
        for member in self.members.values_mut() {
            if let Some(waiting) = member.waiting_join.take() {
                let answer = join_error(waiting.api_version, error, &member.id);
                member.renew_session(turn.cx.now_ms);
                turn.answer(waiting.token, GroupResponse::Join(answer));
            }
            if let Some(token) = member.waiting_sync.take() {
                member.renew_session(turn.cx.now_ms);
                turn.answer(token, GroupResponse::Sync(super::sync_error(error)));
            }
        }
    }

    /// The classic members of a consumer group, without those in `gone`, as a group of their own.
    /// Its generation is the group's epoch, and what they shall have is what they had.
    fn of_consumer_state(
        id: &str,
        state: &ConsumerState,
        gone: &BTreeSet<&str>,
        turn: &Turn<'_>,
    ) -> Self {
        let mut group = Self::new(id);
        group.generation = state.epoch;
        group.protocol_type = Some(CONSUMER.to_owned());
        for (member_id, known) in &state.members {
            let classic = known.classic().filter(|_| !gone.contains(member_id.as_str()));
            if let Some(classic) = classic {
                let member = Member::of_consumer(member_id, &known.metadata, classic, turn);
                group.add_converted(member);
            }
        }
        group
    }

    fn add_converted(&mut self, member: Member) {
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    /// Chooses the protocol, and writes down what each member shall have: `target_of` knows.
    fn settle_converted(
        &mut self,
        target_of: impl Fn(&str) -> Partitions,
        turn: &mut Turn<'_>,
    ) -> CoordinatorRecord {
        self.protocol = self.vote();
        self.subscribed_topics = self.subscriptions();
        self.transition(GroupState::Stable, turn.wall_ms());
        let protocol = self.protocol.clone().unwrap_or_default();
        for member in self.members.values_mut() {
            let subscription = member.metadata(&protocol);
            member.assignment =
                client_assignment(&target_of(&member.id), &subscription, turn.cx.image);
        }
        self.record(|member| member.assignment.clone())
    }

    /// A consumer group whose last member of that protocol goes, as a classic group, which is
    /// rebalanced: what that member had is nobody's now. The records stand in the turn.
    ///
    /// The record names no leader: a coordinator that loads it sees that a rebalance is due.
    pub(crate) fn without_consumers(
        id: &str,
        state: &ConsumerState,
        gone: &[String],
        turn: &mut Turn<'_>,
    ) -> Self {
        let gone: BTreeSet<&str> = gone.iter().map(String::as_str).collect();
        let mut group = Self::of_consumer_state(id, state, &gone, turn);
        let record = group.settle_converted(|member| state.target_of(member), turn);
        turn.out.records.push(record);
        group.leader = group.members.keys().next().cloned();
        group.prepare_rebalance(turn);
        group
    }

    /// As [`Self::without_consumers`], where a classic member takes the place of that member. If it
    /// wants the same, and everybody has what they shall have, nothing moves.
    pub(crate) fn with_successor(
        id: &str,
        state: &ConsumerState,
        successor: Successor<'_>,
        turn: &mut Turn<'_>,
    ) -> Self {
        let Successor { join, old_id, new_id } = successor;
        let mut group = Self::of_consumer_state(id, state, &BTreeSet::from([old_id]), turn);
        let member = Member::joining(join, new_id, turn);
        let wanted = member.protocols.first().map(|(_, metadata)| metadata.clone());
        group.add_converted(member);
        let target_of =
            |member: &str| state.target_of(if member == new_id { old_id } else { member });
        let moves = !state.is_settled_without(old_id)
            || !state.members.get(old_id).is_some_and(|old| wants_the_same(old, wanted));
        if moves {
            let record = group.settle_converted(target_of, turn);
            turn.out.records.push(record);
            group.leader = group.members.keys().next().cloned();
            if let Some(member) = group.members.get_mut(new_id) {
                member.waiting_join = Some(join.waiting());
            }
            group.prepare_rebalance(turn);
            return group;
        }
        group.leader = group.members.keys().next().cloned();
        let record = group.settle_converted(target_of, turn);
        turn.out.records.push(record);
        // As a leader it would assign anew, and nobody would ask for that.
        let answer = JoinGroupResponse {
            leader: String::new(),
            members: Vec::new(),
            ..group.join_answer(new_id)
        };
        turn.answer(join.token, GroupResponse::Join(answer));
        group
    }

    /// The log ends with the group's conversion: the rebalance that was to follow is still due.
    pub(super) fn resume_conversion(&mut self, now_ms: i64) {
        self.leader = self.members.keys().next().cloned();
        self.state = GroupState::PreparingRebalance;
        let timeout_ms = i64::from(self.rebalance_timeout_ms().max(1));
        self.join_timer = Some(JoinTimer::Rebalance { at_ms: now_ms.saturating_add(timeout_ms) });
    }
}

/// Whether the subscription is to the topics that the member read before.
fn wants_the_same(old: &ConsumerMember, subscription: Option<Bytes>) -> bool {
    let subscription: Option<ConsumerProtocolSubscription> =
        subscription.and_then(|metadata| decode_versioned_lenient(metadata).ok());
    let topics = subscription.map(|subscription| sorted(subscription.topics));
    old.regex().is_none() && topics.as_ref() == Some(&old.metadata.subscribed_topic_names)
}

impl Member {
    /// Whether its first join is not answered yet, and it does not know its id before that: it will
    /// come back as somebody else.
    fn is_nameless(&self) -> bool {
        self.is_new
            && self.instance_id.is_none()
            && self.waiting_join.is_some_and(|join| join.api_version < MEMBER_ID_REQUIRED_SINCE)
    }

    fn to_consumer_metadata(
        &self,
        subscription: ConsumerProtocolSubscription,
    ) -> ConsumerGroupMemberMetadataValue {
        let protocols = self.protocols.iter().map(|(name, metadata)| ClassicProtocol {
            name: name.clone(),
            metadata: metadata.clone(),
        });
        ConsumerGroupMemberMetadataValue {
            instance_id: self.instance_id.clone(),
            rack_id: subscription.rack_id,
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscribed_topic_names: sorted(subscription.topics),
            subscribed_topic_regex: None,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: None,
            classic_member_metadata: Some(ClassicMemberMetadata {
                session_timeout_ms: self.session_timeout_ms,
                supported_protocols: protocols.collect(),
            }),
        }
    }

    fn of_consumer(
        member_id: &str,
        metadata: &ConsumerGroupMemberMetadataValue,
        classic: &ClassicMemberMetadata,
        turn: &Turn<'_>,
    ) -> Self {
        let protocols = classic.supported_protocols.iter();
        let mut member = Self {
            id: member_id.to_owned(),
            instance_id: metadata.instance_id.clone(),
            client_id: metadata.client_id.clone(),
            client_host: metadata.client_host.clone(),
            rebalance_timeout_ms: metadata.rebalance_timeout_ms,
            session_timeout_ms: classic.session_timeout_ms,
            protocols: protocols
                .map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
                .collect(),
            assignment: Bytes::new(),
            is_new: false,
            waiting_join: None,
            waiting_sync: None,
            session_deadline_ms: 0,
        };
        member.renew_session(turn.now_ms());
        member
    }

    fn joining(join: Join<'_>, member_id: &str, turn: &Turn<'_>) -> Self {
        let request = join.request;
        let mut member = Self {
            id: member_id.to_owned(),
            instance_id: request.group_instance_id.clone(),
            client_id: join.caller.client_id.clone(),
            client_host: join.caller.client_host.clone(),
            rebalance_timeout_ms: join.rebalance_timeout_ms(),
            session_timeout_ms: request.session_timeout_ms,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            is_new: false,
            waiting_join: None,
            waiting_sync: None,
            session_deadline_ms: 0,
        };
        member.offer(&request.protocols);
        member.renew_session(turn.now_ms());
        member
    }
}
