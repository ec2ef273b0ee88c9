//! Heartbeat (v0–4): keeps a member in the group, and tells it to join again.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::group::{ClassicGroup, GroupState, Membership};

/// The whole answer is its code.
pub(crate) fn heartbeat_answer(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() }
}

impl ClassicGroup {
    /// Renews the session. A member may heartbeat before it has synced.
    pub(crate) fn on_heartbeat(&mut self, request: &HeartbeatRequest, now_ms: i64) -> ErrorCode {
        let checked = self.check_generation(Membership {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        });
        if let Err(error) = checked {
            return error;
        }
        let Some(member) = self.members.get_mut(&request.member_id) else {
            return ErrorCode::UnknownMemberId;
        };
        member.renew_session(now_ms);
        match self.state {
            GroupState::Empty => ErrorCode::UnknownMemberId,
            GroupState::PreparingRebalance => ErrorCode::RebalanceInProgress,
            GroupState::CompletingRebalance | GroupState::Stable => ErrorCode::None,
        }
    }
}
