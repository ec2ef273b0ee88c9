//! SyncGroup (v0–5): the leader hands the assignments in, the others wait for theirs.

use std::collections::BTreeMap;

use bytes::Bytes;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::group::{ClassicGroup, GroupState, Membership};
use crate::decision::{Token, Turn};
use crate::request::GroupResponse;

/// An answer that refuses.
pub(crate) fn sync_error(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() }
}

impl ClassicGroup {
    /// Takes the leader's assignment, or parks a follower until it is there.
    pub(crate) fn on_sync(&mut self, token: Token, request: SyncGroupRequest, turn: &mut Turn<'_>) {
        let member_id = request.member_id.as_str();
        if let Err(error) = self.check_sync(&request) {
            return turn.answer(token, GroupResponse::Sync(sync_error(error)));
        }
        if self.state == GroupState::Stable {
            self.pending_syncs.remove(member_id);
            let now_ms = turn.now_ms();
            let Some(member) = self.members.get_mut(member_id) else { return };
            member.renew_session(now_ms);
            let assignment = member.assignment.clone();
            return turn.answer(token, GroupResponse::Sync(self.sync_answer(assignment)));
        }
        self.pending_syncs.remove(member_id);
        if let Some(member) = self.members.get_mut(member_id)
            && let Some(earlier) = member.waiting_sync.replace(token)
        {
            // The member has given up on that request, but its connection may still want an answer.
            let error = sync_error(ErrorCode::RebalanceInProgress);
            turn.answer(earlier, GroupResponse::Sync(error));
        }
        if self.is_leader(member_id) {
            self.assign(request, turn);
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        self.check_generation(Membership {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        })?;
        let differs = |told: &Option<String>, ours: &Option<String>| {
            told.as_ref().is_some_and(|told| Some(told) != ours.as_ref())
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            GroupState::Empty => Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// Logs the assignments and answers all who wait, which the caller does once the log has them.
    /// The group itself learns of them by replay.
    fn assign(&mut self, request: SyncGroupRequest, turn: &mut Turn<'_>) {
        let given: BTreeMap<String, Bytes> = request
            .assignments
            .into_iter()
            .map(|assigned| (assigned.member_id, assigned.assignment))
            .collect();
        let assignment = |id: &str| given.get(id).cloned().unwrap_or_default();
        turn.out.records.push(self.record(|member| assignment(&member.id)));
        let answers: Vec<(Token, SyncGroupResponse)> = self
            .members
            .values()
            .filter_map(|member| {
                Some((member.waiting_sync?, self.sync_answer(assignment(&member.id))))
            })
            .collect();
        for member in self.members.values_mut() {
            if member.waiting_sync.take().is_some() {
                member.renew_session(turn.cx.now_ms);
            }
        }
        for (token, answer) in answers {
            turn.answer(token, GroupResponse::Sync(answer));
        }
    }

    /// The record of the generation could not be appended: the members have to join again.
    pub(crate) fn on_append_failed(&mut self, turn: &mut Turn<'_>) {
        match self.state {
            GroupState::CompletingRebalance | GroupState::Stable => self.prepare_rebalance(turn),
            GroupState::Empty | GroupState::PreparingRebalance => {}
        }
    }

    fn sync_answer(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse {
            error_code: ErrorCode::None.code(),
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment,
            ..SyncGroupResponse::default()
        }
    }
}
