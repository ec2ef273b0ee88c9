//! Groups that move from one protocol to the other while they have members, under the policy of the
//! broker. Called by the handlers and the timers of the shard.
//!
//! A group is converted by one batch: the tombstones of what it was and the records of what it is.
//! Until the batch is replayed the shard holds both; if it cannot be appended, the new one goes.

use std::collections::BTreeMap;

use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use kalda_protocol::messages::join_group::JoinGroupRequest;
use kalda_protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};

use crate::classic::{ClassicGroup, GroupState, Join, Successor, join_error, leave_with};
use crate::consumer::{
    self, Beat, ClassicJoin, ConsumerGroup, ConsumerMember, ConsumerState, Draft,
};
use crate::decision::{Context, Decision, Token, Turn};
use crate::records;
use crate::request::{Caller, GroupResponse};
use crate::settings::GroupSettings;
use crate::shard::GroupShard;

impl GroupShard {
    /// A heartbeat of the consumer protocol. A classic group gives way if it has no members, and
    /// becomes a consumer group if it has some.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        token: Token,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let id = request.group_id.as_str();
        let classic = self.groups.get(id);
        let upgraded = match self.check_consumer_heartbeat(request, cx.image) {
            Ok(upgraded) => upgraded,
            Err((error, message)) => {
                let answer = consumer::refuse(error, &message);
                return self.reply(token, GroupResponse::ConsumerGroupHeartbeat(answer), cx);
            }
        };
        let gives_way = upgraded.is_some() || classic.is_some_and(|group| group.logged().is_some());
        let mut turn = Turn::new(cx, &self.settings, self.last_replayed);
        if gives_way {
            turn.out.records.push(records::group_tombstone(id));
        }
        let is_upgrade = upgraded.is_some();
        let start = upgraded.map(|state| Draft::creating(id, state));
        let was_there = self.consumers.contains_key(id);
        let group = self.consumers.entry(id.to_owned()).or_default();
        let answer = match group.on_heartbeat(id, caller, request, start, &mut turn) {
            Beat::Answer(answer) => answer,
            Beat::Leaves { member_id, answer } => {
                fence(&mut self.groups, group, id, &[member_id], &mut turn);
                answer
            }
        };
        if answer.error_code != ErrorCode::None.code() {
            turn.out.records.clear();
        } else if is_upgrade && let Some(classic) = self.groups.get_mut(id) {
            group.expect_all(classic, turn.now_ms());
            classic.send_to_rejoin(&mut turn);
        }
        turn.answer(token, GroupResponse::ConsumerGroupHeartbeat(answer));
        let out = turn.out;
        if !was_there && out.records.is_empty() {
            self.consumers.remove(id);
        }
        self.rearm(id);
        out
    }

    /// Whether the group may be one of the consumer protocol; what it is then, if it is a classic
    /// one with members now.
    fn check_consumer_heartbeat(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        image: &Image,
    ) -> Result<Option<ConsumerState>, (ErrorCode, String)> {
        let id = request.group_id.as_str();
        if !records::is_group_id(id) {
            return Err((ErrorCode::InvalidRequest, "GroupId can't be empty.".to_owned()));
        }
        let joins = request.member_epoch == 0;
        let missing = |message: String| Err((ErrorCode::GroupIdNotFound, message));
        let members = self.groups.get(id).filter(|group| group.state() != GroupState::Empty);
        match members {
            Some(_) if !joins => missing(format!("Group {id} is not a consumer group.")),
            Some(classic) => match self.upgraded(classic, image) {
                Ok(state) => Ok(Some(state)),
                Err(reason) => missing(format!(
                    "Cannot upgrade classic group {id} to consumer group because {reason}."
                )),
            },
            None if !joins && !self.consumers.contains_key(id) => {
                missing(format!("Group {id} not found."))
            }
            None => Ok(None),
        }
    }

    fn upgraded(
        &self,
        classic: &ClassicGroup,
        image: &Image,
    ) -> Result<ConsumerState, &'static str> {
        if !self.settings.consumer_migration_policy.allows_upgrade() {
            return Err("online upgrade is disabled");
        }
        let state = classic.to_consumer_state(image)?;
        if state.members.len() > self.settings.consumer_max_group_size {
            return Err("the group size exceeds the consumer group maximum size");
        }
        Ok(state)
    }

    /// JoinGroup to a consumer group that has members.
    pub(crate) fn join_consumer_group(
        &mut self,
        token: Token,
        caller: &Caller,
        request: &JoinGroupRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let id = request.group_id.as_str();
        let join = Join { token, caller, request };
        let mut turn = Turn::new(cx, &self.settings, self.last_replayed);
        let Some(group) = self.consumers.get_mut(id) else { return turn.out };
        match group.on_classic_join(id, join, &mut turn) {
            Ok(ClassicJoin::Answer(answer)) => turn.answer(token, GroupResponse::Join(answer)),
            Ok(ClassicJoin::ReplacesLast { old_id, new_id }) => {
                let mut draft = Draft::new(id, &group.state);
                draft.delete();
                turn.out.records.extend(draft.into_records());
                let successor = Successor { join, old_id: &old_id, new_id: &new_id };
                let classic = ClassicGroup::with_successor(id, &group.state, successor, &mut turn);
                self.groups.insert(id.to_owned(), classic);
            }
            Err((error, member_id)) => {
                let answer = join_error(caller.api_version, error, &member_id);
                turn.answer(token, GroupResponse::Join(answer));
            }
        }
        let out = turn.out;
        self.rearm(id);
        out
    }

    /// LeaveGroup to a consumer group. An operator may name members of either protocol.
    pub(crate) fn leave_consumer_group(
        &mut self,
        token: Token,
        caller: &Caller,
        request: LeaveGroupRequest,
        cx: &Context<'_>,
    ) -> Decision {
        let id = request.group_id.clone();
        let mut turn = Turn::new(cx, &self.settings, self.last_replayed);
        let Some(group) = self.consumers.get_mut(&id) else { return turn.out };
        let mut gone: Vec<String> = Vec::new();
        let answer: LeaveGroupResponse = leave_with(caller.api_version, request, |identity| {
            let instance = identity.group_instance_id.as_deref();
            let named = match (identity.member_id.as_str(), instance) {
                ("", Some(instance)) => group.state.instance(instance).map(str::to_owned),
                (member_id, _) => Some(member_id.to_owned()),
            };
            let Some(member_id) = named else { return ErrorCode::UnknownMemberId };
            match group.check_identity(&member_id, instance) {
                Ok(()) if gone.contains(&member_id) => ErrorCode::UnknownMemberId,
                Ok(()) => {
                    gone.push(member_id);
                    ErrorCode::None
                }
                Err(error) => error,
            }
        });
        if !gone.is_empty() {
            fence(&mut self.groups, group, &id, &gone, &mut turn);
        }
        turn.answer(token, GroupResponse::Leave(answer));
        let out = turn.out;
        self.rearm(&id);
        out
    }
}

/// Takes members out of a consumer group. If only classic ones stay, it becomes one of theirs.
pub(crate) fn fence(
    classic_groups: &mut BTreeMap<String, ClassicGroup>,
    group: &mut ConsumerGroup,
    id: &str,
    gone: &[String],
    turn: &mut Turn<'_>,
) {
    for member in gone {
        group.forget(member);
    }
    let mut draft = Draft::new(id, &group.state);
    if !is_downgraded(&group.state, gone, turn.settings) {
        draft.fence(gone, turn.cx.image);
        turn.out.records.extend(draft.into_records());
        return;
    }
    draft.delete();
    turn.out.records.extend(draft.into_records());
    let classic = ClassicGroup::without_consumers(id, &group.state, gone, turn);
    classic_groups.insert(id.to_owned(), classic);
}

fn is_downgraded(state: &ConsumerState, gone: &[String], settings: &GroupSettings) -> bool {
    let stays = |(id, _): &(&String, &ConsumerMember)| !gone.contains(id);
    let count = state.members.iter().filter(stays).count();
    let mut staying = state.members.iter().filter(stays);
    count > 0
        && count <= settings.max_group_size
        && settings.consumer_migration_policy.allows_downgrade()
        && staying.all(|(_, member)| member.classic().is_some())
}
