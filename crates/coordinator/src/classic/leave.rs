//! LeaveGroup (v0–5): members go, one or several; an operator may remove static ones by name.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};

use super::group::{ClassicGroup, GroupState, Membership};
use crate::decision::Turn;

/// The first version that names several members, and answers for each.
const BATCH_SINCE: i16 = 3;

/// The answer where there is no such group: each of its members is unknown.
pub(crate) fn leave_group_that_is_not_there(
    request: LeaveGroupRequest,
    api_version: i16,
) -> LeaveGroupResponse {
    if request.group_id.is_empty() {
        return leave_error(ErrorCode::InvalidGroupId);
    }
    if api_version < BATCH_SINCE {
        return leave_error(ErrorCode::UnknownMemberId);
    }
    let unknown = |identity: MemberIdentity| MemberResponse {
        member_id: identity.member_id,
        group_instance_id: identity.group_instance_id,
        error_code: ErrorCode::UnknownMemberId.code(),
    };
    let members = request.members.into_iter().map(unknown).collect();
    LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
}

fn leave_error(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() }
}

/// The answer, by what comes of each member that is named.
pub(crate) fn leave_with(
    api_version: i16,
    request: LeaveGroupRequest,
    mut leave_one: impl FnMut(&MemberIdentity) -> ErrorCode,
) -> LeaveGroupResponse {
    if api_version < BATCH_SINCE {
        let lone = MemberIdentity { member_id: request.member_id, ..MemberIdentity::default() };
        return leave_error(leave_one(&lone));
    }
    let one = |identity: MemberIdentity| {
        let error_code = leave_one(&identity).code();
        MemberResponse {
            member_id: identity.member_id,
            group_instance_id: identity.group_instance_id,
            error_code,
        }
    };
    let members = request.members.into_iter().map(one).collect();
    LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
}

impl ClassicGroup {
    /// Takes the members out and rebalances the rest.
    pub(crate) fn on_leave(
        &mut self,
        api_version: i16,
        request: LeaveGroupRequest,
        turn: &mut Turn<'_>,
    ) -> LeaveGroupResponse {
        let mut left = false;
        let answer = leave_with(api_version, request, |identity| {
            let error = self.leave_one(identity, turn);
            left |= error == ErrorCode::None;
            error
        });
        if left && self.state != GroupState::Empty {
            self.rebalance_or_complete_join(turn);
        }
        answer
    }

    fn leave_one(&mut self, identity: &MemberIdentity, turn: &mut Turn<'_>) -> ErrorCode {
        let instance_id = identity.group_instance_id.as_deref();
        if identity.member_id.is_empty() {
            let holder = instance_id.and_then(|id| self.static_members.get(id)).cloned();
            let Some(holder) = holder else { return ErrorCode::UnknownMemberId };
            self.remove_member(&holder, turn);
            return ErrorCode::None;
        }
        if self.pending_joins.remove(&identity.member_id).is_some() {
            return ErrorCode::None;
        }
        let who =
            Membership { member_id: &identity.member_id, instance_id, generation: self.generation };
        match self.check_member(who) {
            Ok(()) => {
                self.remove_member(&identity.member_id, turn);
                ErrorCode::None
            }
            Err(error) => error,
        }
    }
}
