//! A static member that comes back under a new member id (KIP-345): it takes the place of the old
//! one, assignment included, and the old one is fenced.

use kalda_protocol::ErrorCode;

use super::group::{ClassicGroup, GroupState};
use super::join::{Join, join_error};
use super::sync::sync_error;
use crate::decision::Turn;
use crate::request::GroupResponse;

/// The first version in which the answer can tell a leader not to assign again.
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

impl ClassicGroup {
    /// Puts the member `new_id` in the place of `old_id`.
    pub(super) fn replace_static_member(
        &mut self,
        join: Join<'_>,
        old_id: &str,
        new_id: &str,
        turn: &mut Turn<'_>,
    ) {
        let old_leader = self.leader.clone();
        self.rename_member(old_id, new_id, turn);
        self.update_member(join, new_id, turn);
        match self.state {
            GroupState::Stable if self.protocol == self.vote() => {
                self.answer_in_stable(join, new_id, old_leader, turn);
            }
            // The leader may be assigning to the old id just now, and the new one would go without.
            GroupState::CompletingRebalance => self.prepare_rebalance(turn),
            GroupState::Stable | GroupState::PreparingRebalance | GroupState::Empty => {
                self.rebalance_or_complete_join(turn);
            }
        }
    }

    fn rename_member(&mut self, old_id: &str, new_id: &str, turn: &mut Turn<'_>) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        if let Some(waiting) = member.waiting_join.take() {
            let fenced = join_error(waiting.api_version, ErrorCode::FencedInstanceId, old_id);
            turn.answer(waiting.token, GroupResponse::Join(fenced));
        }
        if let Some(token) = member.waiting_sync.take() {
            let fenced = sync_error(ErrorCode::FencedInstanceId);
            turn.answer(token, GroupResponse::Sync(fenced));
        }
        if self.pending_syncs.remove(old_id) {
            self.pending_syncs.insert(new_id.to_owned());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_owned());
        }
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), new_id.to_owned());
        }
        member.id = new_id.to_owned();
        member.is_new = false;
        member.renew_session(turn.now_ms());
        self.members.insert(new_id.to_owned(), member);
    }

    /// Nothing changes but the id, so there is no rebalance; the log learns of it before the member.
    fn answer_in_stable(
        &mut self,
        join: Join<'_>,
        new_id: &str,
        old_leader: Option<String>,
        turn: &mut Turn<'_>,
    ) {
        let mut answer = self.join_answer(new_id);
        if join.caller.api_version >= SKIP_ASSIGNMENT_SINCE {
            answer.skip_assignment = self.is_leader(new_id);
        } else {
            // Named leader, an old client would assign anew and then fail to hand it out. The id
            // that it no longer has makes it a follower, which just syncs.
            answer.leader = old_leader.unwrap_or_default();
            answer.members.clear();
        }
        turn.out.records.push(self.record(|member| member.assignment.clone()));
        let Some(member) = self.members.get_mut(new_id) else { return };
        member.waiting_join = None;
        member.renew_session(turn.cx.now_ms);
        turn.answer(join.token, GroupResponse::Join(answer));
    }
}
