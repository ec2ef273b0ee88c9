//! By when something is expected of the members of a group. In memory only: a new coordinator gives
//! everybody its time anew.

use std::collections::BTreeMap;

use super::state::{ConsumerMember, ConsumerState, Current, Partitions};

/// What is expected of one member.
#[derive(Clone, Default, Debug)]
struct Expected {
    /// Any sign of life.
    session_ms: Option<i64>,
    /// That it has given these up.
    revoked: Option<(i64, Partitions)>,
    /// A classic member was told to join.
    join_ms: Option<i64>,
    /// A classic member has joined and does not know its assignment yet.
    sync_ms: Option<i64>,
}

impl Expected {
    fn all(&self) -> impl Iterator<Item = i64> {
        let revoked_ms = self.revoked.as_ref().map(|(at_ms, _)| *at_ms);
        [self.session_ms, revoked_ms, self.join_ms, self.sync_ms].into_iter().flatten()
    }
}

/// What is expected of the members of one group.
#[derive(Clone, Default, Debug)]
pub(super) struct Deadlines {
    members: BTreeMap<String, Expected>,
}

impl Deadlines {
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.members.values().flat_map(Expected::all).min()
    }

    /// The member is alive.
    pub(super) fn renew_session(&mut self, member_id: &str, now_ms: i64, timeout_ms: i32) {
        let at_ms = Some(after(now_ms, timeout_ms));
        match self.members.get_mut(member_id) {
            Some(member) => member.session_ms = at_ms,
            None => {
                let expected = Expected { session_ms: at_ms, ..Expected::default() };
                self.members.insert(member_id.to_owned(), expected);
            }
        }
    }

    /// Notes by when the member has to have given up what it owes. Saying so again gives it no more
    /// time, only owing something else does.
    pub(super) fn expect_revocation(
        &mut self,
        member_id: &str,
        now: &Current,
        now_ms: i64,
        timeout_ms: i32,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if now.revoking.is_empty() {
            member.revoked = None;
        } else if member.revoked.as_ref().is_none_or(|(_, owed)| *owed != now.revoking) {
            member.revoked = Some((after(now_ms, timeout_ms), now.revoking.clone()));
        }
    }

    /// The member was told to join; telling it again gives it no more time.
    pub(super) fn expect_join(&mut self, member_id: &str, now_ms: i64, timeout_ms: i32) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.join_ms.get_or_insert(after(now_ms, timeout_ms));
        }
    }

    /// The member has joined, and should ask for its assignment next.
    pub(super) fn on_joined(&mut self, member_id: &str, now_ms: i64, timeout_ms: i32) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.join_ms = None;
            member.revoked = None;
            member.sync_ms = Some(after(now_ms, timeout_ms));
        }
    }

    pub(super) fn on_synced(&mut self, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.sync_ms = None;
        }
    }

    #[cfg(test)]
    pub(super) fn has_session(&self, member_id: &str) -> bool {
        self.members.get(member_id).is_some_and(|member| member.session_ms.is_some())
    }

    pub(super) fn forget(&mut self, member_id: &str) {
        self.members.remove(member_id);
    }

    /// Those of the group's members whose time is up; nothing more is expected of these.
    pub(super) fn take_expired(&mut self, state: &ConsumerState, now_ms: i64) -> Vec<String> {
        let mut gone = Vec::new();
        self.members.retain(|id, expected| {
            let Some(member) = state.members.get(id) else { return false };
            let owed = &member.current.revoking;
            expected.revoked = expected.revoked.take().filter(|(_, revoked)| revoked == owed);
            let over = expected.all().any(|at_ms| at_ms <= now_ms);
            if over {
                gone.push(id.clone());
            }
            !over
        });
        gone
    }

    /// Gives a full session to each member of whom nothing is expected, and to those that owe
    /// partitions their full time.
    pub(super) fn complete(&mut self, state: &ConsumerState, now_ms: i64, session_ms: i32) {
        for (id, member) in &state.members {
            if self.members.contains_key(id) {
                continue;
            }
            self.renew_session(id, now_ms, session_timeout_ms(member, session_ms));
            // Who speaks the classic protocol is told to join first.
            if member.classic().is_none() {
                let timeout_ms = member.metadata.rebalance_timeout_ms;
                self.expect_revocation(id, &member.current, now_ms, timeout_ms);
            }
        }
    }
}

/// A classic member brought its own; the others have the broker's.
pub(super) fn session_timeout_ms(member: &ConsumerMember, of_broker_ms: i32) -> i32 {
    member.classic().map_or(of_broker_ms, |classic| classic.session_timeout_ms)
}

fn after(now_ms: i64, timeout_ms: i32) -> i64 {
    // At least a millisecond: a timeout of zero must not fire for ever at one point in time.
    now_ms.saturating_add(i64::from(timeout_ms.max(1)))
}
