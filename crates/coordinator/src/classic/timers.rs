//! What happens to a classic group by the passing of time alone.

use kalda_protocol::ErrorCode;

use super::group::{ClassicGroup, GroupState, JoinTimer};
use super::join::join_error;
use super::sync::sync_error;
use crate::decision::{Token, Turn};
use crate::request::GroupResponse;

impl ClassicGroup {
    /// The next moment at which something is due.
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        let sessions = self.members.values().filter_map(|member| member.expires_at_ms());
        let join = self.join_timer.map(|timer| match timer {
            JoinTimer::Initial { at_ms, .. } | JoinTimer::Rebalance { at_ms } => at_ms,
        });
        sessions
            .chain(self.pending_joins.values().copied())
            .chain(join)
            .chain(self.sync_deadline_ms)
            .min()
    }

    /// Does what is due.
    pub(crate) fn on_timer(&mut self, turn: &mut Turn<'_>) {
        self.expire_pending_joins(turn);
        self.expire_sessions(turn);
        self.on_join_timer(turn);
        self.expire_pending_syncs(turn);
    }

    /// Answers all who wait, for the shard goes elsewhere.
    pub(crate) fn unload(&mut self, answers: &mut Vec<(Token, GroupResponse)>) {
        let error = ErrorCode::NotCoordinator;
        for member in self.members.values_mut() {
            if let Some(waiting) = member.waiting_join.take() {
                let answer = join_error(waiting.api_version, error, &member.id);
                answers.push((waiting.token, GroupResponse::Join(answer)));
            }
            if let Some(token) = member.waiting_sync.take() {
                answers.push((token, GroupResponse::Sync(sync_error(error))));
            }
        }
    }

    fn expire_pending_joins(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now_ms();
        let before = self.pending_joins.len();
        self.pending_joins.retain(|_, lapses_ms| *lapses_ms > now_ms);
        if self.pending_joins.len() < before {
            self.complete_join_if_all_came(turn);
        }
    }

    fn expire_sessions(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now_ms();
        let gone: Vec<String> = self
            .members
            .values()
            .filter(|member| member.expires_at_ms().is_some_and(|at_ms| at_ms <= now_ms))
            .map(|member| member.id.clone())
            .collect();
        if gone.is_empty() {
            return;
        }
        for member_id in gone {
            self.remove_member(&member_id, turn);
        }
        self.rebalance_or_complete_join(turn);
    }

    fn on_join_timer(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now_ms();
        match self.join_timer {
            Some(JoinTimer::Initial { at_ms, delay_ms, remaining_ms }) if at_ms <= now_ms => {
                if !self.new_member_added || remaining_ms == 0 {
                    return self.complete_join(turn);
                }
                self.new_member_added = false;
                let next_ms = turn.settings.initial_rebalance_delay_ms.min(remaining_ms);
                self.join_timer = Some(JoinTimer::Initial {
                    at_ms: now_ms.saturating_add(i64::from(next_ms)),
                    delay_ms: next_ms,
                    remaining_ms: remaining_ms.saturating_sub(delay_ms).max(0),
                });
            }
            Some(JoinTimer::Rebalance { at_ms }) if at_ms <= now_ms => self.complete_join(turn),
            _ => {}
        }
    }

    /// Members that joined and never asked for their assignment hold partitions that nobody reads.
    fn expire_pending_syncs(&mut self, turn: &mut Turn<'_>) {
        if self.sync_deadline_ms.is_none_or(|at_ms| at_ms > turn.now_ms()) {
            return;
        }
        self.sync_deadline_ms = None;
        let settled = matches!(self.state, GroupState::CompletingRebalance | GroupState::Stable);
        let silent = std::mem::take(&mut self.pending_syncs);
        if !settled || silent.is_empty() {
            return;
        }
        for member_id in silent {
            self.remove_member(&member_id, turn);
        }
        self.prepare_rebalance(turn);
    }
}
