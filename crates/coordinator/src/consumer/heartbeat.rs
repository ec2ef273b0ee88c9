//! ConsumerGroupHeartbeat (v0–1): joins, stays, reports what it holds, leaves. Version 1 brought
//! subscriptions by regular expression, and member ids that clients make themselves.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest as Request,
    ConsumerGroupHeartbeatResponse as Response, TopicPartitions,
};
use kalda_protocol::stored::group::ConsumerGroupMemberMetadataValue;

use super::regex::Pattern;
use super::state::{ConsumerState, Current, MemberState, Partitions};
use super::subscription::{self, Told};
use super::{ConsumerGroup, Draft, assignor, reconcile};
use crate::decision::Turn;
use crate::records::NAME_BYTES_MAX;
use crate::request::Caller;

const JOIN: i32 = 0;
const LEAVE: i32 = -1;
/// A static member leaves for a while; its partitions stay with its instance.
const LEAVE_STATIC: i32 = -2;

type Refusal = (ErrorCode, String);

/// What comes of a heartbeat.
#[derive(Debug)]
pub(crate) enum Beat {
    Answer(Response),
    /// The member goes, which may make the group a classic one; the answer says that it has gone.
    Leaves {
        member_id: String,
        answer: Response,
    },
}

/// An answer that refuses.
pub(crate) fn refuse(error: ErrorCode, message: &str) -> Response {
    Response {
        error_code: error.code(),
        error_message: Some(message.to_owned()),
        ..Response::default()
    }
}

impl ConsumerGroup {
    /// Takes a heartbeat of a member of the group `id`. `start` is the group as it shall be if the
    /// member gets in, where it is not this one.
    pub(crate) fn on_heartbeat(
        &mut self,
        id: &str,
        caller: &Caller,
        request: &Request,
        start: Option<Draft<'_>>,
        turn: &mut Turn<'_>,
    ) -> Beat {
        match self.take(id, caller, request, start, turn) {
            Ok(beat) => beat,
            Err((error, message)) => Beat::Answer(refuse(error, &message)),
        }
    }

    fn take(
        &mut self,
        id: &str,
        caller: &Caller,
        request: &Request,
        start: Option<Draft<'_>>,
        turn: &mut Turn<'_>,
    ) -> Result<Beat, Refusal> {
        check_request(request, caller.api_version, &self.state)?;
        let mut request = request.clone();
        if request.member_id.is_empty() {
            // Version 0 lets the broker name the member.
            request.member_id = (turn.cx.new_member_id)();
        }
        if matches!(request.member_epoch, LEAVE | LEAVE_STATIC) {
            return self.leave(id, &request, turn);
        }
        let member_id = request.member_id.as_str();
        let session_ms = turn.settings.consumer_session_timeout_ms;
        if let Some(epoch) = self.settled_epoch(&request, turn) {
            self.deadlines.renew_session(member_id, turn.now_ms(), session_ms);
            return Ok(Beat::Answer(Response {
                member_id: Some(request.member_id),
                member_epoch: epoch,
                heartbeat_interval_ms: turn.settings.consumer_heartbeat_interval_ms,
                ..Response::default()
            }));
        }
        let mut draft = start.unwrap_or_else(|| Draft::new(id, &self.state));
        let owned = request.topic_partitions.as_deref().map(partitions);
        if let Some(replaced) = admit(&request, owned.as_ref(), turn, &mut draft)? {
            self.deadlines.forget(&replaced);
        }
        let before = current(&self.state, member_id).assigned;
        let old = draft.state.members.get(member_id).map(|member| member.metadata.clone());
        let metadata = told_metadata(&request, caller, old.unwrap_or_else(subscription::blank));
        let timeout_ms = metadata.rebalance_timeout_ms;
        let told = subscription::put(&mut draft, member_id, metadata);
        self.deadlines.renew_session(member_id, turn.now_ms(), session_ms);
        let now = self.advance(&mut draft, member_id, told, owned.as_ref(), turn);
        self.deadlines.expect_revocation(member_id, &now, turn.now_ms(), timeout_ms);

        let subscribes =
            request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
        let is_full = request.rebalance_timeout_ms != -1 && subscribes && owned.is_some();
        let told = request.member_epoch == JOIN || is_full || now.assigned != before;
        turn.out.records.extend(draft.into_records());
        Ok(Beat::Answer(Response {
            member_id: Some(request.member_id.clone()),
            member_epoch: now.epoch,
            heartbeat_interval_ms: turn.settings.consumer_heartbeat_interval_ms,
            assignment: told.then(|| wire(&now.assigned)),
            ..Response::default()
        }))
    }

    /// Takes the group and the member as far as they can go after what the member has told; where
    /// the member is then.
    pub(super) fn advance(
        &mut self,
        draft: &mut Draft<'_>,
        member_id: &str,
        told: Told,
        owned: Option<&Partitions>,
        turn: &Turn<'_>,
    ) -> Current {
        let image = turn.cx.image;
        draft.drop_unused_regexes();
        let resolved = self.refresh_regexes(draft, turn);
        let changed = self.seen_metadata != Some(image.end_offset)
            && subscription::metadata_hash(&draft.state, image) != draft.state.metadata_hash;
        if resolved || changed || told.needs_epoch(&draft.state, member_id) {
            draft.bump_epoch(image);
        }
        self.seen_metadata = Some(image.end_offset);
        subscription::retarget(draft, image);
        if let Some(next) = reconcile::next(&draft.state, member_id, owned) {
            draft.put_current(member_id, next);
        }
        current(&draft.state, member_id)
    }

    /// The epoch of a member that brings nothing new to a group in which nothing is under way: the
    /// common case, which must not cost a copy of the group.
    fn settled_epoch(&self, request: &Request, turn: &Turn<'_>) -> Option<i32> {
        let member = self.state.members.get(&request.member_id)?;
        let current = &member.current;
        let silent = request.subscribed_topic_names.is_none()
            && request.subscribed_topic_regex.is_none()
            && request.topic_partitions.is_none()
            && request.server_assignor.is_none()
            && request.rack_id.is_none()
            && request.instance_id.is_none()
            && request.rebalance_timeout_ms == -1;
        let interval_ms = turn.settings.consumer_regex_refresh_interval_ms;
        let settled = current.state == MemberState::Stable
            && member.classic().is_none()
            && current.epoch == request.member_epoch
            && current.epoch == self.state.target_epoch
            && current.epoch == self.state.epoch
            && self.seen_metadata == Some(turn.cx.image.end_offset)
            && !self.regex_checks.is_stale(turn.wall_ms(), interval_ms);
        (silent && settled).then_some(current.epoch)
    }

    fn leave(&mut self, id: &str, request: &Request, turn: &mut Turn<'_>) -> Result<Beat, Refusal> {
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
        let answer = Response {
            member_id: Some(request.member_id.clone()),
            member_epoch: request.member_epoch,
            ..Response::default()
        };
        if request.member_epoch == LEAVE {
            return Ok(Beat::Leaves { member_id: request.member_id.clone(), answer });
        }
        let away =
            Current { epoch: LEAVE_STATIC, revoking: Partitions::new(), ..member.current.clone() };
        self.deadlines.expect_revocation(&request.member_id, &away, turn.now_ms(), 0);
        let mut draft = Draft::new(id, &self.state);
        draft.put_current(&request.member_id, away);
        turn.out.records.extend(draft.into_records());
        Ok(Beat::Answer(answer))
    }
}

/// Whether the sender is a member, or may become one; the member whose place it takes.
fn admit(
    request: &Request,
    owned: Option<&Partitions>,
    turn: &Turn<'_>,
    draft: &mut Draft<'_>,
) -> Result<Option<String>, Refusal> {
    let member_id = request.member_id.as_str();
    let joins = request.member_epoch == JOIN;
    let holder = request.instance_id.as_deref().and_then(|id| draft.state.instance(id));
    if let Some(holder) = holder.filter(|holder| *holder != member_id).map(str::to_owned) {
        if !joins {
            let message = "The instance has another member.";
            return Err(refusal(ErrorCode::FencedInstanceId, message));
        }
        let member = draft.state.members.get(&holder);
        // One of the classic protocol cannot say that it goes: it just restarts.
        let is_released = member.is_some_and(|member| {
            member.current.epoch == LEAVE_STATIC || member.classic().is_some()
        });
        if !is_released {
            let message = "The instance is still in use by another member.";
            return Err(refusal(ErrorCode::UnreleasedInstanceId, message));
        }
        draft.replace_member(&holder, member_id);
        return Ok(Some(holder));
    }
    if !draft.state.members.contains_key(member_id) {
        if !joins {
            let message = format!("Member {member_id} is not a member of the group.");
            return Err(refusal(ErrorCode::UnknownMemberId, &message));
        }
        if draft.state.members.len() >= turn.settings.consumer_max_group_size {
            return Err(refusal(ErrorCode::GroupMaxSizeReached, "The group is full."));
        }
        return Ok(None);
    }
    if joins {
        return Ok(None);
    }
    let standing = current(&draft.state, member_id);
    let missed_answer = request.member_epoch == standing.previous_epoch
        && owned.is_some_and(|owned| owned.is_subset(&standing.assigned));
    if request.member_epoch == standing.epoch
        || (request.member_epoch < standing.epoch && missed_answer)
    {
        return Ok(None);
    }
    let message =
        "The member epoch is not the one of the coordinator. Abandon all partitions and rejoin.";
    Err(refusal(ErrorCode::FencedMemberEpoch, message))
}

fn refusal(error: ErrorCode, message: &str) -> Refusal {
    (error, message.to_owned())
}

/// What is wrong by itself. An expression that the group already has is not compiled once more.
fn check_request(
    request: &Request,
    api_version: i16,
    state: &ConsumerState,
) -> Result<(), Refusal> {
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
    if let Some(regex) = request.subscribed_topic_regex.as_deref()
        && !regex.is_empty()
        && !state.regexes.contains_key(regex)
        && let Err(reason) = Pattern::compile(regex)
    {
        let message =
            format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {reason}.");
        return Err(refusal(ErrorCode::InvalidRegularExpression, &message));
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

/// What the log is to hold of a member after its heartbeat. What that leaves out has not changed.
fn told_metadata(
    request: &Request,
    caller: &Caller,
    old: ConsumerGroupMemberMetadataValue,
) -> ConsumerGroupMemberMetadataValue {
    let regex = request.subscribed_topic_regex.clone().or(old.subscribed_topic_regex);
    let names = request.subscribed_topic_names.clone().map(subscription::sorted);
    let told_timeout_ms = Some(request.rebalance_timeout_ms).filter(|told| *told != -1);
    ConsumerGroupMemberMetadataValue {
        instance_id: request.instance_id.clone().or(old.instance_id),
        rack_id: request.rack_id.clone().or(old.rack_id),
        client_id: caller.client_id.clone(),
        client_host: caller.client_host.clone(),
        subscribed_topic_names: names.unwrap_or(old.subscribed_topic_names),
        subscribed_topic_regex: regex.filter(|regex| !regex.is_empty()),
        rebalance_timeout_ms: told_timeout_ms.unwrap_or(old.rebalance_timeout_ms),
        server_assignor: request.server_assignor.clone().or(old.server_assignor),
        classic_member_metadata: None,
    }
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
