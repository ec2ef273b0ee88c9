//! The join phase from its start to its end. Called by whatever changes who is in the group.

use kalda_protocol::ErrorCode;

use super::group::{ClassicGroup, GroupState, JoinTimer};
use super::join::join_error;
use super::sync::sync_error;
use crate::decision::Turn;
use crate::request::GroupResponse;

impl ClassicGroup {
    /// The members changed: starts a join phase, or ends the one under way if all have come.
    pub(super) fn rebalance_or_complete_join(&mut self, turn: &mut Turn<'_>) {
        match self.state {
            GroupState::PreparingRebalance => self.complete_join_if_all_came(turn),
            GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare_rebalance(turn);
            }
        }
    }

    /// Starts a join phase.
    pub(super) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == GroupState::CompletingRebalance {
            self.refuse_syncs(ErrorCode::RebalanceInProgress, turn);
        }
        self.sync_deadline_ms = None;
        self.joining_from_empty = self.state == GroupState::Empty;
        self.transition(GroupState::PreparingRebalance, turn.wall_ms());
        if self.joining_from_empty {
            let delay_ms = turn.settings.initial_rebalance_delay_ms;
            self.new_member_added = false;
            self.join_timer = Some(JoinTimer::Initial {
                at_ms: turn.now_ms().saturating_add(i64::from(delay_ms)),
                delay_ms,
                remaining_ms: self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0),
            });
        } else if self.all_joined() {
            self.complete_join(turn);
        } else {
            self.arm_rebalance_timeout(turn);
        }
    }

    /// The initial delay is never cut short: others may be about to come.
    pub(super) fn complete_join_if_all_came(&mut self, turn: &mut Turn<'_>) {
        let joining = self.state == GroupState::PreparingRebalance && !self.joining_from_empty;
        if joining && self.all_joined() {
            self.complete_join(turn);
        }
    }

    fn all_joined(&self) -> bool {
        self.pending_joins.is_empty() && self.waiting_joins() == self.members.len()
    }

    fn arm_rebalance_timeout(&mut self, turn: &Turn<'_>) {
        // At least a millisecond: a timeout of zero must not fire for ever at one point in time.
        let timeout_ms = self.rebalance_timeout_ms().max(1);
        let at_ms = turn.now_ms().saturating_add(i64::from(timeout_ms));
        self.join_timer = Some(JoinTimer::Rebalance { at_ms });
    }

    /// Time is up, or all have come: those who joined make up the next generation.
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.join_timer = None;
        let absent: Vec<String> = self
            .members
            .values()
            .filter(|member| member.waiting_join.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for member_id in absent {
            self.remove_member(&member_id, turn);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Only static members are left and none has come back yet. Their sessions decide.
            return self.arm_rebalance_timeout(turn);
        }
        self.start_generation(turn);
    }

    /// Sees to it that the leader is one of those who joined.
    fn elect_joined_leader(&mut self) -> bool {
        let joined =
            |id: &String| self.members.get(id).is_some_and(|member| member.waiting_join.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let next = self.members.values().find(|member| member.waiting_join.is_some());
        let Some(next) = next.map(|member| member.id.clone()) else { return false };
        self.leader = Some(next);
        true
    }

    fn start_generation(&mut self, turn: &mut Turn<'_>) {
        self.generation = self.generation.wrapping_add(1).max(0);
        self.pending_syncs.clear();
        self.joining_from_empty = false;
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.subscribed_topics = self.subscriptions();
            self.transition(GroupState::Empty, turn.wall_ms());
            turn.out.records.push(self.record(|member| member.assignment.clone()));
            return;
        }
        self.protocol = self.vote();
        self.subscribed_topics = self.subscriptions();
        self.transition(GroupState::CompletingRebalance, turn.wall_ms());
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in ids {
            let answer = self.join_answer(&member_id);
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.renew_session(turn.cx.now_ms);
            member.is_new = false;
            if let Some(waiting) = member.waiting_join.take() {
                turn.answer(waiting.token, GroupResponse::Join(answer));
            }
            self.pending_syncs.insert(member_id);
        }
        let timeout_ms = i64::from(self.rebalance_timeout_ms().max(1));
        self.sync_deadline_ms = Some(turn.now_ms().saturating_add(timeout_ms));
    }

    /// Takes a member out and answers what it waits for. The caller then sees to the rebalance.
    pub(super) fn remove_member(&mut self, member_id: &str, turn: &mut Turn<'_>) {
        let Some(mut member) = self.members.remove(member_id) else { return };
        if let Some(waiting) = member.waiting_join.take() {
            // A client that is still there joins again, from the start.
            let gone = join_error(waiting.api_version, ErrorCode::UnknownMemberId, "");
            turn.answer(waiting.token, GroupResponse::Join(gone));
        }
        if let Some(token) = member.waiting_sync.take() {
            turn.answer(token, GroupResponse::Sync(sync_error(ErrorCode::UnknownMemberId)));
        }
        self.pending_syncs.remove(member_id);
        if let Some(instance) = &member.instance_id {
            self.static_members.remove(instance);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Sends those who wait for an assignment back to join.
    pub(super) fn refuse_syncs(&mut self, error: ErrorCode, turn: &mut Turn<'_>) {
        for member in self.members.values_mut() {
            member.assignment.clear();
            if let Some(token) = member.waiting_sync.take() {
                member.renew_session(turn.cx.now_ms);
                turn.answer(token, GroupResponse::Sync(sync_error(error)));
            }
        }
    }
}
