//! JoinGroup (v0–9): enters the group, and waits until the join phase is over.
//!
//! Called by the shard. New members are parked in the group; the answers come from `rebalance`.

use bytes::Bytes;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
};

use super::group::{ClassicGroup, GroupState, Membership};
use super::member::{Member, WaitingJoin};
use crate::decision::{Token, Turn};
use crate::records::NAME_BYTES_MAX;
use crate::request::{Caller, GroupResponse};

/// The first version that tells a new member its id before it may join (KIP-394).
pub(crate) const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// The first version that can say "no protocol".
const NULL_PROTOCOL_SINCE: i16 = 7;
/// Room for the random part of a member id.
const MEMBER_ID_SUFFIX_BYTES: usize = 64;

/// A join together with its sender.
#[derive(Clone, Copy)]
pub(crate) struct Join<'a> {
    pub(crate) token: Token,
    pub(crate) caller: &'a Caller,
    pub(crate) request: &'a JoinGroupRequest,
}

impl Join<'_> {
    pub(super) fn refuse(&self, error: ErrorCode, member_id: &str, turn: &mut Turn<'_>) {
        let answer = join_error(self.caller.api_version, error, member_id);
        turn.answer(self.token, GroupResponse::Join(answer));
    }

    pub(super) fn waiting(&self) -> WaitingJoin {
        WaitingJoin { token: self.token, api_version: self.caller.api_version }
    }

    /// Version 0 has one timeout for both.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        if self.caller.api_version == 0 {
            self.request.session_timeout_ms
        } else {
            self.request.rebalance_timeout_ms
        }
    }

    /// A member id as Kafka builds it, so that people can tell whose it is.
    pub(crate) fn new_member_id(&self, turn: &Turn<'_>) -> String {
        let owner = self.request.group_instance_id.as_deref().unwrap_or(&self.caller.client_id);
        format!("{owner}-{}", (turn.cx.new_member_id)())
    }
}

/// An answer that refuses.
pub(crate) fn join_error(api_version: i16, error: ErrorCode, member_id: &str) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        member_id: member_id.to_owned(),
        protocol_name: (api_version < NULL_PROTOCOL_SINCE).then(String::new),
        ..JoinGroupResponse::default()
    }
}

/// Whether a name in the request is too long for the group's record.
pub(crate) fn group_exceeds_names(request: &JoinGroupRequest, caller: &Caller) -> bool {
    let limit = NAME_BYTES_MAX - MEMBER_ID_SUFFIX_BYTES;
    let names = [
        request.member_id.as_str(),
        request.protocol_type.as_str(),
        request.group_instance_id.as_deref().unwrap_or_default(),
        caller.client_id.as_str(),
        caller.client_host.as_str(),
    ];
    names.iter().any(|name| name.len() > limit)
        || request.protocols.iter().any(|protocol| protocol.name.len() > limit)
}

impl ClassicGroup {
    /// Takes a member in, or in again.
    pub(crate) fn on_join(
        &mut self,
        token: Token,
        caller: &Caller,
        request: &JoinGroupRequest,
        turn: &mut Turn<'_>,
    ) {
        let join = Join { token, caller, request };
        if !self.has_room_for(&request.member_id, turn.settings.max_group_size) {
            if self.members.contains_key(&request.member_id) {
                self.remove_member(&request.member_id, turn);
                self.rebalance_or_complete_join(turn);
            }
            return join.refuse(ErrorCode::GroupMaxSizeReached, "", turn);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return join.refuse(ErrorCode::InconsistentGroupProtocol, &request.member_id, turn);
        }
        if request.member_id.is_empty() {
            self.join_new(join, turn)
        } else {
            self.rejoin(join, turn)
        }
    }

    /// In the join phase those count who wait, for only they will be in the next generation.
    fn has_room_for(&self, member_id: &str, max_size: usize) -> bool {
        let known = self.members.get(member_id);
        match self.state {
            GroupState::Empty => true,
            GroupState::PreparingRebalance => {
                known.is_some_and(|member| member.waiting_join.is_some())
                    || self.waiting_joins() < max_size
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                known.is_some() || self.members.len() < max_size
            }
        }
    }

    fn join_new(&mut self, join: Join<'_>, turn: &mut Turn<'_>) {
        let member_id = join.new_member_id(turn);
        if let Some(instance) = &join.request.group_instance_id {
            return match self.static_members.get(instance).cloned() {
                Some(holder) => self.replace_static_member(join, &holder, &member_id, turn),
                None => self.add_member(join, member_id, turn),
            };
        }
        if join.caller.api_version >= MEMBER_ID_REQUIRED_SINCE {
            let lapses_ms =
                turn.now_ms().saturating_add(i64::from(join.request.session_timeout_ms));
            self.pending_joins.insert(member_id.clone(), lapses_ms);
            return join.refuse(ErrorCode::MemberIdRequired, &member_id, turn);
        }
        self.add_member(join, member_id, turn);
    }

    fn rejoin(&mut self, join: Join<'_>, turn: &mut Turn<'_>) {
        let request = join.request;
        let member_id = request.member_id.as_str();
        if request.group_instance_id.is_none() && self.pending_joins.contains_key(member_id) {
            return self.add_member(join, member_id.to_owned(), turn);
        }
        let who = Membership {
            member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: self.generation,
        };
        if let Err(error) = self.check_member(who) {
            return join.refuse(error, member_id, turn);
        }
        let unchanged =
            self.members.get(member_id).is_some_and(|member| member.offers(&request.protocols));
        let is_leader = self.is_leader(member_id);
        match self.state {
            // Its first answer was lost on the way, perhaps.
            GroupState::CompletingRebalance if unchanged => self.repeat_answer(join, turn),
            // Nothing changes for the others. A leader that joins wants a rebalance: it may have
            // seen topics change.
            GroupState::Stable if unchanged && !is_leader => self.repeat_answer(join, turn),
            GroupState::Empty => join.refuse(ErrorCode::UnknownMemberId, member_id, turn),
            GroupState::PreparingRebalance
            | GroupState::CompletingRebalance
            | GroupState::Stable => {
                self.update_member(join, member_id, turn);
                self.rebalance_or_complete_join(turn);
            }
        }
    }

    fn repeat_answer(&mut self, join: Join<'_>, turn: &mut Turn<'_>) {
        let member_id = join.request.member_id.as_str();
        let answer = self.join_answer(member_id);
        turn.answer(join.token, GroupResponse::Join(answer));
        if let Some(member) = self.members.get_mut(member_id) {
            member.renew_session(turn.cx.now_ms);
        }
    }

    fn add_member(&mut self, join: Join<'_>, member_id: String, turn: &mut Turn<'_>) {
        let request = join.request;
        self.pending_joins.remove(&member_id);
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member_id.clone());
        }
        if let Some(instance) = &request.group_instance_id {
            self.static_members.insert(instance.clone(), member_id.clone());
        }
        if self.state == GroupState::PreparingRebalance && self.joining_from_empty {
            self.new_member_added = true;
        }
        let join_timeout_ms = i64::from(turn.settings.new_member_join_timeout_ms);
        let mut member = Member {
            id: member_id.clone(),
            instance_id: request.group_instance_id.clone(),
            client_id: join.caller.client_id.clone(),
            client_host: join.caller.client_host.clone(),
            rebalance_timeout_ms: join.rebalance_timeout_ms(),
            session_timeout_ms: request.session_timeout_ms,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            is_new: true,
            waiting_join: Some(join.waiting()),
            waiting_sync: None,
            session_deadline_ms: turn.now_ms().saturating_add(join_timeout_ms),
        };
        member.offer(&request.protocols);
        self.members.insert(member_id, member);
        self.rebalance_or_complete_join(turn);
    }

    /// Parks a known member with what it offers now.
    pub(super) fn update_member(&mut self, join: Join<'_>, member_id: &str, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.offer(&join.request.protocols);
        member.rebalance_timeout_ms = join.rebalance_timeout_ms();
        member.session_timeout_ms = join.request.session_timeout_ms;
        if let Some(earlier) = member.waiting_join.replace(join.waiting()) {
            // The member has given up on that request, but its connection may still want an answer.
            let error = join_error(earlier.api_version, ErrorCode::RebalanceInProgress, member_id);
            turn.answer(earlier.token, GroupResponse::Join(error));
        }
    }

    pub(super) fn waiting_joins(&self) -> usize {
        self.members.values().filter(|member| member.waiting_join.is_some()).count()
    }

    /// What a member learns of the generation; the leader also who is in it.
    pub(super) fn join_answer(&self, member_id: &str) -> JoinGroupResponse {
        JoinGroupResponse {
            error_code: ErrorCode::None.code(),
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: Some(self.protocol.clone().unwrap_or_default()),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.to_owned(),
            members: if self.is_leader(member_id) { self.roll() } else { Vec::new() },
            ..JoinGroupResponse::default()
        }
    }

    /// All members with their metadata for the chosen protocol.
    pub(super) fn roll(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members
            .values()
            .map(|member| JoinGroupResponseMember {
                member_id: member.id.clone(),
                group_instance_id: member.instance_id.clone(),
                metadata: member.metadata(protocol),
            })
            .collect()
    }
}
