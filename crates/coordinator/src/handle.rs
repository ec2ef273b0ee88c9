//! Requests on their way into a shard: each is checked, given to the group or the offsets that it is
//! about, and its answer put into the decision.

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_groups::DeletableGroupResult;
use kalda_protocol::messages::heartbeat::HeartbeatRequest;
use kalda_protocol::messages::join_group::JoinGroupRequest;
use kalda_protocol::messages::leave_group::LeaveGroupRequest;
use kalda_protocol::messages::offset_commit::OffsetCommitRequest;
use kalda_protocol::messages::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use kalda_protocol::messages::offset_fetch::OffsetFetchResponseGroup;
use kalda_protocol::messages::sync_group::SyncGroupRequest;
use kalda_protocol::messages::txn_offset_commit::TxnOffsetCommitRequest;

use crate::classic::{
    ClassicGroup, CommitKind, GroupState, Membership, describe_dead, group_exceeds_names,
    heartbeat_answer, join_error, leave_group_that_is_not_there, listed, sync_error,
};
use crate::consumer::{self, OffsetRequest};
use crate::decision::{Context, Decision, Token, Turn};
use crate::offsets;
use crate::records::{NAME_BYTES_MAX, is_group_id};
use crate::request::{Caller, GroupRequest, GroupResponse};
use crate::shard::GroupShard;

/// OffsetCommit from this version on may tell a group that is not there from a wrong generation.
const COMMIT_NOT_FOUND_SINCE: i16 = 9;
/// OffsetCommit from this version on knows of members' epochs.
const MEMBER_EPOCHS_SINCE: i16 = 9;

impl GroupShard {
    /// Decides what comes of a request. Its answer, and those of others that it sets free, are in the
    /// decision, or come with a later one if it waits for others.
    pub fn handle(
        &mut self,
        token: Token,
        caller: &Caller,
        request: GroupRequest,
        cx: &Context<'_>,
    ) -> Decision {
        match request {
            GroupRequest::Join(request) => self.join(token, caller, &request, cx),
            GroupRequest::Sync(request) => self.sync(token, request, cx),
            GroupRequest::Heartbeat(request) => {
                let error = self.heartbeat(&request, cx);
                self.reply(token, GroupResponse::Heartbeat(heartbeat_answer(error)), cx)
            }
            GroupRequest::Leave(request) => self.leave(token, caller, request, cx),
            GroupRequest::OffsetCommit(request) => self.commit(token, caller, &request, cx),
            GroupRequest::TxnOffsetCommit(request) => self.txn_commit(token, &request, cx),
            GroupRequest::OffsetFetch { group, require_stable } => {
                let member_id = group.member_id.as_deref().unwrap_or_default();
                let generation = group.member_epoch;
                let who = Membership { member_id, instance_id: None, generation };
                let checked = match self.consumers.get(&group.group_id) {
                    Some(consumers) if generation >= 0 || !member_id.is_empty() => {
                        consumers.check_offsets(who, OffsetRequest::WithEpochs)
                    }
                    _ => Ok(()),
                };
                let answer = match checked {
                    Ok(()) => offsets::fetch(&self.offsets, &group, require_stable),
                    Err(error) => OffsetFetchResponseGroup {
                        group_id: group.group_id,
                        error_code: error.code(),
                        ..OffsetFetchResponseGroup::default()
                    },
                };
                self.reply(token, GroupResponse::OffsetFetch(answer), cx)
            }
            GroupRequest::OffsetDelete(request) => self.delete_offsets(token, &request, cx),
            GroupRequest::Describe(ids) => {
                let describe = |id: &String| match self.groups.get(id) {
                    Some(group) => group.describe(),
                    None => describe_dead(id, self.consumers.contains_key(id), caller.api_version),
                };
                let described = ids.iter().map(describe).collect();
                self.reply(token, GroupResponse::Describe(described), cx)
            }
            GroupRequest::List { states, types } => {
                let rows = self.groups.values();
                let rows = rows.filter_map(|group| listed(group, &states, &types));
                let consumers = self.consumers.iter();
                let consumers = consumers
                    .filter_map(|(id, group)| consumer::listed(id, group, &states, &types));
                let rows = rows.chain(consumers).collect();
                self.reply(token, GroupResponse::List(Ok(rows)), cx)
            }
            GroupRequest::Delete(ids) => self.delete_groups(token, &ids, cx),
            GroupRequest::ConsumerGroupHeartbeat(request) => {
                self.consumer_heartbeat(token, caller, &request, cx)
            }
            GroupRequest::ConsumerGroupDescribe(ids) => {
                let describe = |id: &String| match self.consumers.get(id) {
                    Some(group) => group.describe(id, cx.image),
                    None => consumer::describe_missing(id, self.groups.contains_key(id)),
                };
                let described = ids.iter().map(describe).collect();
                self.reply(token, GroupResponse::ConsumerGroupDescribe(described), cx)
            }
        }
    }

    pub(crate) fn reply(
        &self,
        token: Token,
        response: GroupResponse,
        cx: &Context<'_>,
    ) -> Decision {
        let mut turn = self.turn(cx);
        turn.answer(token, response);
        turn.out
    }

    fn join(
        &mut self,
        token: Token,
        caller: &Caller,
        request: &JoinGroupRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let sessions = self.settings.min_session_timeout_ms..=self.settings.max_session_timeout_ms;
        let id = request.group_id.as_str();
        let consumers = self.consumers.get(id);
        let refusal = if !is_group_id(id) {
            Some((ErrorCode::InvalidGroupId, ""))
        } else if !sessions.contains(&request.session_timeout_ms) {
            Some((ErrorCode::InvalidSessionTimeout, request.member_id.as_str()))
        } else if group_exceeds_names(request, caller) {
            Some((ErrorCode::InvalidRequest, ""))
        } else if consumers.is_some_and(|group| !group.state.members.is_empty()) {
            return self.join_consumer_group(token, caller, request, cx);
        } else if !request.member_id.is_empty() && !self.groups.contains_key(id) {
            Some((ErrorCode::UnknownMemberId, request.member_id.as_str()))
        } else {
            None
        };
        if let Some((error, member_id)) = refusal {
            let answer = join_error(caller.api_version, error, member_id);
            return self.reply(token, GroupResponse::Join(answer), cx);
        }
        // An empty group of the consumer protocol gives way.
        let ended = if consumers.is_some() { self.group_tombstones(id) } else { Vec::new() };
        let group = self.groups.entry(id.to_owned()).or_insert_with(|| ClassicGroup::new(id));
        let mut turn = Turn::new(cx, &self.settings, self.last_replayed);
        turn.out.records = ended;
        group.on_join(token, caller, request, &mut turn);
        let out = turn.out;
        self.rearm(id);
        out
    }

    fn sync(&mut self, token: Token, request: SyncGroupRequest, cx: &Context<'_>) -> Decision {
        let id = request.group_id.clone();
        let missing = missing_group(&id);
        if let Some(group) = self.consumers.get_mut(&id) {
            let mut turn = Turn::new(cx, &self.settings, self.last_replayed);
            let answer = group.on_classic_sync(&request, &turn);
            turn.answer(token, GroupResponse::Sync(answer));
            let out = turn.out;
            self.rearm(&id);
            return out;
        }
        match self.with_group(&id, cx, |group, turn| group.on_sync(token, request, turn)) {
            Some(((), decision)) => decision,
            None => self.reply(token, GroupResponse::Sync(sync_error(missing)), cx),
        }
    }

    /// Does not touch the timers of a classic group: a heartbeat only moves a deadline away, and the
    /// timer that comes early finds nothing to do.
    fn heartbeat(&mut self, request: &HeartbeatRequest, cx: &Context<'_>) -> ErrorCode {
        if let Some(group) = self.consumers.get_mut(&request.group_id) {
            let error = group.on_classic_heartbeat(request, cx.now_ms);
            self.rearm(&request.group_id);
            return error;
        }
        match self.groups.get_mut(&request.group_id) {
            Some(group) => group.on_heartbeat(request, cx.now_ms),
            None => missing_group(&request.group_id),
        }
    }

    fn leave(
        &mut self,
        token: Token,
        caller: &Caller,
        request: LeaveGroupRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let id = request.group_id.clone();
        if self.consumers.contains_key(&id) {
            return self.leave_consumer_group(token, caller, request, cx);
        }
        if !self.groups.contains_key(&id) {
            let answer = leave_group_that_is_not_there(request, caller.api_version);
            return self.reply(token, GroupResponse::Leave(answer), cx);
        }
        let step = self.with_group(&id, cx, |group, turn| {
            let answer = group.on_leave(caller.api_version, request, turn);
            turn.answer(token, GroupResponse::Leave(answer));
        });
        step.map(|((), decision)| decision).unwrap_or_default()
    }

    fn commit(
        &mut self,
        token: Token,
        caller: &Caller,
        request: &OffsetCommitRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let who = Membership {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id_or_member_epoch,
        };
        let not_found = if caller.api_version >= COMMIT_NOT_FOUND_SINCE {
            ErrorCode::GroupIdNotFound
        } else {
            ErrorCode::IllegalGeneration
        };
        let checked = match self.consumers.get(&request.group_id) {
            Some(group) if caller.api_version >= MEMBER_EPOCHS_SINCE => {
                group.check_offsets(who, OffsetRequest::WithEpochs)
            }
            Some(group) => group.check_offsets(who, OffsetRequest::WithoutEpochs),
            None => self.check_commit(&request.group_id, who, CommitKind::Plain, not_found),
        };
        let mut turn = self.turn(cx);
        let answer = offsets::commit(request, checked, &mut turn);
        turn.answer(token, GroupResponse::OffsetCommit(answer));
        let out = turn.out;
        if checked.is_ok()
            && let Some(group) = self.groups.get_mut(&request.group_id)
        {
            group.on_commit(&request.member_id, cx.now_ms);
        }
        out
    }

    fn txn_commit(
        &mut self,
        token: Token,
        request: &TxnOffsetCommitRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let who = Membership {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        };
        let id = request.group_id.as_str();
        let checked = if id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else if let Some(group) = self.consumers.get(id) {
            group.check_offsets(who, OffsetRequest::Transactional)
        } else {
            self.check_commit(id, who, CommitKind::Transactional, ErrorCode::IllegalGeneration)
        };
        let mut turn = self.turn(cx);
        turn.out.producer =
            Some((ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch)));
        let answer = offsets::txn_commit(request, checked, &mut turn);
        turn.answer(token, GroupResponse::TxnOffsetCommit(answer));
        turn.out
    }

    /// A group that is not there takes offsets from those who do not claim to be members of it.
    /// The empty id is a group like others here: old consumers without a group commit under it.
    fn check_commit(
        &self,
        id: &str,
        who: Membership<'_>,
        kind: CommitKind,
        not_found: ErrorCode,
    ) -> Result<(), ErrorCode> {
        if id.len() > NAME_BYTES_MAX {
            return Err(ErrorCode::InvalidGroupId);
        }
        match self.groups.get(id) {
            Some(group) => group.check_commit(who, kind),
            None if who.generation < 0 => Ok(()),
            None => Err(not_found),
        }
    }

    fn delete_offsets(
        &mut self,
        token: Token,
        request: &OffsetDeleteRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let id = &request.group_id;
        let (classic, consumers) = (self.groups.get(id), self.consumers.get(id));
        let checked = match (classic, consumers) {
            (None, None) => Err(ErrorCode::GroupIdNotFound),
            (Some(group), _) => group.check_offset_delete(),
            (None, Some(_)) => Ok(()),
        };
        let mut turn = self.turn(cx);
        let answer = match checked {
            Ok(()) => {
                let subscribed = |topic: &str| {
                    classic.is_some_and(|group| group.is_subscribed_to(topic))
                        || consumers.is_some_and(|group| group.state.is_subscribed_to(topic))
                };
                offsets::delete(&self.offsets, request, subscribed, &mut turn)
            }
            Err(error) => {
                OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() }
            }
        };
        turn.answer(token, GroupResponse::OffsetDelete(answer));
        turn.out
    }

    fn delete_groups(&mut self, token: Token, ids: &[String], cx: &Context<'_>) -> Decision {
        let mut turn = self.turn(cx);
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let consumers = self.consumers.get(id).map(|group| group.state.members.is_empty());
            let error = match self.groups.get(id) {
                None if consumers == Some(false) => ErrorCode::NonEmptyGroup,
                None if consumers == Some(true) => {
                    turn.out.records.extend(self.tombstones(id));
                    ErrorCode::None
                }
                None => ErrorCode::GroupIdNotFound,
                Some(group) if group.state() != GroupState::Empty => ErrorCode::NonEmptyGroup,
                Some(_) => {
                    turn.out.records.extend(self.tombstones(id));
                    ErrorCode::None
                }
            };
            results.push(DeletableGroupResult { group_id: id.clone(), error_code: error.code() });
        }
        turn.answer(token, GroupResponse::Delete(results));
        turn.out
    }
}

/// What members hear of a group that is not there.
fn missing_group(id: &str) -> ErrorCode {
    if id.is_empty() { ErrorCode::InvalidGroupId } else { ErrorCode::UnknownMemberId }
}
