//! ConsumerGroupHeartbeat (v0–1): joins, stays, reports what it holds, leaves.

use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest as Request,
    ConsumerGroupHeartbeatResponse as Response, TopicPartitions,
};
use kalda_protocol::stored::group::ConsumerGroupMemberMetadataValue;

use super::state::{ConsumerState, Current, MemberState, Partitions};
use super::{ConsumerGroup, Draft, assignor, reconcile};
use crate::decision::Turn;
use crate::records::NAME_BYTES_MAX;
use crate::request::Caller;

const JOIN: i32 = 0;
const LEAVE: i32 = -1;
/// A static member leaves for a while; its partitions stay with its instance.
const LEAVE_STATIC: i32 = -2;

type Refusal = (ErrorCode, String);

/// An answer that refuses.
pub(crate) fn refuse(error: ErrorCode, message: &str) -> Response {
    Response {
        error_code: error.code(),
        error_message: Some(message.to_owned()),
        ..Response::default()
    }
}

impl ConsumerGroup {
    /// Takes a heartbeat of a member of the group `id`.
    pub(crate) fn on_heartbeat(
        &mut self,
        id: &str,
        caller: &Caller,
        request: &Request,
        turn: &mut Turn<'_>,
    ) -> Response {
        match self.take(id, caller, request, turn) {
            Ok(response) => response,
            Err((error, message)) => refuse(error, &message),
        }
    }

    fn take(
        &mut self,
        id: &str,
        caller: &Caller,
        request: &Request,
        turn: &mut Turn<'_>,
    ) -> Result<Response, Refusal> {
        check_request(request, caller.api_version)?;
        let mut request = request.clone();
        if request.member_id.is_empty() {
            // Version 0 lets the broker name the member.
            request.member_id = (turn.cx.new_member_id)();
        }
        if matches!(request.member_epoch, LEAVE | LEAVE_STATIC) {
            return self.leave(id, &request, turn);
        }
        if let Some(epoch) = self.settled_epoch(&request, turn.cx.image) {
            self.arm(&request.member_id, &Current::default(), 0, turn);
            return Ok(Response {
                member_id: Some(request.member_id),
                member_epoch: epoch,
                heartbeat_interval_ms: turn.settings.consumer_heartbeat_interval_ms,
                ..Response::default()
            });
        }
        let mut draft = Draft::new(id, &self.state);
        let member_id = request.member_id.as_str();
        let owned = request.topic_partitions.as_deref().map(partitions);
        self.admit(&request, owned.as_ref(), turn, &mut draft)?;
        let before = current(&self.state, member_id).assigned.clone();

        let subscription_changed = subscribe(&request, caller, &mut draft);
        let metadata_changed = self.seen_metadata != Some(turn.cx.image.end_offset);
        if subscription_changed || metadata_changed {
            let hash = metadata_hash(&draft.state, turn.cx.image);
            if subscription_changed || hash != draft.state.metadata_hash {
                draft.bump_epoch_for(hash);
            }
        }
        retarget(&mut draft, turn.cx.image);
        if let Some(next) = reconcile::next(&draft.state, member_id, owned.as_ref()) {
            draft.put_current(member_id, next);
        }
        let now = current(&draft.state, member_id);
        let member = draft.state.members.get(member_id);
        let timeout_ms = member.map_or(0, |member| member.metadata.rebalance_timeout_ms);
        self.arm(member_id, &now, timeout_ms, turn);

        let full = request.member_epoch == JOIN
            || (request.rebalance_timeout_ms != -1
                && request.subscribed_topic_names.is_some()
                && owned.is_some());
        let told = full || now.assigned != before;
        turn.out.records.extend(draft.into_records());
        Ok(Response {
            member_id: Some(request.member_id.clone()),
            member_epoch: now.epoch,
            heartbeat_interval_ms: turn.settings.consumer_heartbeat_interval_ms,
            assignment: told.then(|| wire(&now.assigned)),
            ..Response::default()
        })
    }

    /// The epoch of a member that brings nothing new to a group in which nothing is under way: the
    /// common case, which must not cost a copy of the group.
    fn settled_epoch(&self, request: &Request, image: &Image) -> Option<i32> {
        let current = &self.state.members.get(&request.member_id)?.current;
        let silent = request.subscribed_topic_names.is_none()
            && request.topic_partitions.is_none()
            && request.server_assignor.is_none()
            && request.rack_id.is_none()
            && request.instance_id.is_none()
            && request.rebalance_timeout_ms == -1;
        let settled = current.state == MemberState::Stable
            && current.epoch == request.member_epoch
            && current.epoch == self.state.target_epoch
            && current.epoch == self.state.epoch
            && self.seen_metadata == Some(image.end_offset);
        (silent && settled).then_some(current.epoch)
    }

    /// Whether the sender is a member, or may become one.
    fn admit(
        &self,
        request: &Request,
        owned: Option<&Partitions>,
        turn: &Turn<'_>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Refusal> {
        let member_id = request.member_id.as_str();
        let joins = request.member_epoch == JOIN;
        let holder = request.instance_id.as_deref().and_then(|id| self.state.instance(id));
        if let Some(holder) = holder.filter(|holder| *holder != member_id) {
            if !joins {
                return Err(refusal(
                    ErrorCode::FencedInstanceId,
                    "The instance has another member.",
                ));
            }
            if current(&self.state, holder).epoch != LEAVE_STATIC {
                let message = "The instance is still in use by another member.";
                return Err(refusal(ErrorCode::UnreleasedInstanceId, message));
            }
            draft.replace_member(holder, member_id);
            return Ok(());
        }
        if !self.state.members.contains_key(member_id) {
            if !joins {
                let message = format!("Member {member_id} is not a member of the group.");
                return Err(refusal(ErrorCode::UnknownMemberId, &message));
            }
            if self.state.members.len() >= turn.settings.consumer_max_group_size {
                return Err(refusal(ErrorCode::GroupMaxSizeReached, "The group is full."));
            }
            return Ok(());
        }
        if joins {
            return Ok(());
        }
        let standing = current(&self.state, member_id);
        let missed_answer = request.member_epoch == standing.previous_epoch
            && owned.is_some_and(|owned| owned.is_subset(&standing.assigned));
        if request.member_epoch == standing.epoch
            || (request.member_epoch < standing.epoch && missed_answer)
        {
            return Ok(());
        }
        let message = "The member epoch is not the one of the coordinator. Abandon all partitions and rejoin.";
        Err(refusal(ErrorCode::FencedMemberEpoch, message))
    }

    fn leave(
        &mut self,
        id: &str,
        request: &Request,
        turn: &mut Turn<'_>,
    ) -> Result<Response, Refusal> {
        let named = match request.instance_id.as_deref() {
            Some(instance) => self.state.instance(instance),
            None => Some(request.member_id.as_str()),
        };
        let Some(member) = named.and_then(|id| self.state.members.get(id)) else {
            return Err(refusal(ErrorCode::UnknownMemberId, "There is no such member."));
        };
        if named != Some(request.member_id.as_str()) {
            return Err(refusal(ErrorCode::FencedInstanceId, "The instance has another member."));
        }
        let mut draft = Draft::new(id, &self.state);
        if request.member_epoch == LEAVE_STATIC {
            let away = Current {
                epoch: LEAVE_STATIC,
                revoking: Partitions::new(),
                ..member.current.clone()
            };
            draft.put_current(&request.member_id, away);
        } else {
            draft.remove_member(&request.member_id);
            draft.bump_epoch();
            self.sessions_ms.remove(&request.member_id);
        }
        self.revocations.remove(&request.member_id);
        turn.out.records.extend(draft.into_records());
        Ok(Response {
            member_id: Some(request.member_id.clone()),
            member_epoch: request.member_epoch,
            ..Response::default()
        })
    }

    /// Notes that the member is alive, and by when it has to have given partitions up.
    fn arm(&mut self, member_id: &str, now: &Current, timeout_ms: i32, turn: &Turn<'_>) {
        let session_ms = i64::from(turn.settings.consumer_session_timeout_ms);
        self.sessions_ms.insert(member_id.to_owned(), turn.now_ms().saturating_add(session_ms));
        self.seen_metadata = Some(turn.cx.image.end_offset);
        if now.revoking.is_empty() {
            self.revocations.remove(member_id);
            return;
        }
        let at_ms = turn.now_ms().saturating_add(i64::from(timeout_ms.max(0)));
        match self.revocations.get(member_id) {
            Some((_, epoch)) if *epoch == now.epoch => {}
            _ => {
                self.revocations.insert(member_id.to_owned(), (at_ms, now.epoch));
            }
        }
    }
}

fn refusal(error: ErrorCode, message: &str) -> Refusal {
    (error, message.to_owned())
}

/// What can be told wrong without knowing the group.
fn check_request(request: &Request, api_version: i16) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(refusal(ErrorCode::InvalidRequest, message));
    if request.member_id.is_empty() && (api_version > 0 || request.member_epoch != JOIN) {
        return invalid("MemberId can't be empty.");
    }
    if request.instance_id.as_deref() == Some("") {
        return invalid("InstanceId can't be empty.");
    }
    if request.rack_id.as_deref() == Some("") {
        return invalid("RackId can't be empty.");
    }
    if request.member_id.len() > NAME_BYTES_MAX {
        return invalid("MemberId is too long.");
    }
    match request.member_epoch {
        JOIN => {
            if request.rebalance_timeout_ms <= 0 {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none()
            {
                return invalid(
                    "SubscribedTopicNames or SubscribedTopicRegex must be set in first request.",
                );
            }
        }
        LEAVE_STATIC if request.instance_id.is_none() => {
            return invalid("InstanceId can't be null.");
        }
        epoch if epoch < LEAVE_STATIC => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    if request.subscribed_topic_regex.as_deref().is_some_and(|regex| !regex.is_empty()) {
        let message = "Subscriptions by regular expression are not supported.";
        return Err(refusal(ErrorCode::InvalidRegularExpression, message));
    }
    match request.server_assignor.as_deref() {
        None | Some(assignor::UNIFORM | assignor::RANGE) => Ok(()),
        Some(other) => {
            let message = format!(
                "ServerAssignor {other} is not supported. Supported assignors: uniform, range."
            );
            Err(refusal(ErrorCode::UnsupportedAssignor, &message))
        }
    }
}

/// Brings the member's record up to date. Whether what it wants to read, or who it is, changed.
fn subscribe(request: &Request, caller: &Caller, draft: &mut Draft<'_>) -> bool {
    let known = draft.state.members.get(&request.member_id).map(|member| &member.metadata);
    let is_new = known.is_none();
    let old = known.cloned().unwrap_or_default();
    let mut metadata = ConsumerGroupMemberMetadataValue {
        client_id: caller.client_id.clone(),
        client_host: caller.client_host.clone(),
        ..old.clone()
    };
    // What a heartbeat leaves out has not changed.
    let update = |field: &mut Option<String>, told: &Option<String>| {
        if told.is_some() {
            field.clone_from(told);
        }
    };
    update(&mut metadata.instance_id, &request.instance_id);
    update(&mut metadata.rack_id, &request.rack_id);
    update(&mut metadata.server_assignor, &request.server_assignor);
    if request.rebalance_timeout_ms != -1 {
        metadata.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(topics) = &request.subscribed_topic_names {
        metadata.subscribed_topic_names.clone_from(topics);
        metadata.subscribed_topic_names.sort();
        metadata.subscribed_topic_names.dedup();
    }
    let subscription_changed = is_new
        || metadata.subscribed_topic_names != old.subscribed_topic_names
        || metadata.server_assignor != old.server_assignor;
    if is_new || metadata != old {
        draft.put_member(&request.member_id, metadata);
    }
    subscription_changed
}

/// Makes a new target if the group has moved on since the last.
fn retarget(draft: &mut Draft<'_>, image: &Image) {
    if draft.state.epoch <= draft.state.target_epoch {
        return;
    }
    for (member, target) in assignor::plan(&draft.state, image) {
        if draft.state.targets.get(&member) != Some(&target) {
            draft.put_target(&member, target);
        }
    }
    draft.put_target_epoch(draft.state.epoch);
}

fn current(state: &ConsumerState, member_id: &str) -> Current {
    state.members.get(member_id).map(|member| member.current.clone()).unwrap_or_default()
}

fn partitions(topics: &[TopicPartitions]) -> Partitions {
    let one = |topic: &TopicPartitions| {
        let id = topic.topic_id;
        topic.partitions.iter().map(move |partition| (id, *partition)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(one).collect()
}

fn wire(partitions: &Partitions) -> Assignment {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for (topic_id, partition) in partitions {
        match topics.last_mut().filter(|last| last.topic_id == *topic_id) {
            Some(last) => last.partitions.push(*partition),
            None => {
                topics.push(TopicPartitions { topic_id: *topic_id, partitions: vec![*partition] })
            }
        }
    }
    Assignment { topic_partitions: topics }
}

/// Tells whether topics came, went or grew: FNV-1a over ids and sizes of the topics subscribed to.
fn metadata_hash(state: &ConsumerState, image: &Image) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for topic in state.topics(image) {
        add(&topic.id.0.to_be_bytes());
        add(&(topic.partitions.len() as u64).to_be_bytes());
    }
    hash.cast_signed()
}
