//! Groups of the consumer protocol (KIP-848): the broker assigns the partitions, and members learn of
//! their share by heartbeats alone.
//!
//! Owned by the shard. A handler works on a [`Draft`] of the group, where each change is also a
//! record; the group itself changes when the records are replayed. Only sessions live in memory.

mod assignor;
mod describe;
mod draft;
mod heartbeat;
mod reconcile;
mod records;
mod state;

use std::collections::BTreeMap;

use kalda_model::Offset;
use kalda_protocol::ErrorCode;

use crate::decision::Turn;

pub(crate) use describe::{describe_missing, listed};
pub(crate) use draft::Draft;
pub(crate) use heartbeat::refuse;
pub(crate) use records::decode_consumer;
#[cfg(test)]
pub(crate) use state::Partitions;
pub(crate) use state::{Change, ConsumerState};

/// A group, and who has been heard of lately.
#[derive(Clone, Default, Debug)]
pub(crate) struct ConsumerGroup {
    /// What the log says.
    pub(crate) state: ConsumerState,
    /// When each member is taken for gone.
    sessions_ms: BTreeMap<String, i64>,
    /// When a member that has to give partitions up is taken for gone, and in which epoch it had to.
    revocations: BTreeMap<String, (i64, i32)>,
    /// The metadata that the subscriptions were last compared with.
    pub(crate) seen_metadata: Option<Offset>,
    /// The entry of this group in the shard's timers.
    pub(crate) armed_ms: Option<i64>,
}

impl ConsumerGroup {
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        let revocations = self.revocations.values().map(|(at_ms, _)| *at_ms);
        self.sessions_ms.values().copied().chain(revocations).min()
    }

    /// Gives every member a full session, and those that owe partitions their full time.
    pub(crate) fn on_loaded(&mut self, now_ms: i64, session_timeout_ms: i32) {
        for (id, member) in &self.state.members {
            let at_ms = now_ms.saturating_add(i64::from(session_timeout_ms));
            self.sessions_ms.insert(id.clone(), at_ms);
            if !member.current.revoking.is_empty() {
                let timeout_ms = i64::from(member.metadata.rebalance_timeout_ms.max(0));
                let at_ms = now_ms.saturating_add(timeout_ms);
                self.revocations.insert(id.clone(), (at_ms, member.current.epoch));
            }
        }
    }

    /// Removes those whose time is up.
    pub(crate) fn on_timer(&mut self, id: &str, turn: &mut Turn<'_>) {
        let now_ms = turn.now_ms();
        let mut gone: Vec<String> = Vec::new();
        self.sessions_ms.retain(|member, at_ms| {
            let over = *at_ms <= now_ms;
            if over {
                gone.push(member.clone());
            }
            !over
        });
        let members = &self.state.members;
        self.revocations.retain(|member, (at_ms, epoch)| {
            let over = *at_ms <= now_ms;
            let owes = members.get(member).is_some_and(|known| {
                known.current.epoch == *epoch && !known.current.revoking.is_empty()
            });
            if over && owes && !gone.contains(member) {
                gone.push(member.clone());
            }
            !over && owes
        });
        gone.retain(|member| self.state.members.contains_key(member));
        if gone.is_empty() {
            return;
        }
        let mut draft = Draft::new(id, &self.state);
        for member in gone {
            self.sessions_ms.remove(&member);
            draft.remove_member(&member);
        }
        draft.bump_epoch();
        turn.out.records.extend(draft.into_records());
    }

    /// Whether offsets may be committed with this epoch.
    pub(crate) fn check_commit(
        &self,
        member_id: &str,
        epoch: i32,
        epochs_are_known: bool,
    ) -> Result<(), ErrorCode> {
        if epoch < 0 && self.state.members.is_empty() {
            return Ok(());
        }
        let Some(member) = self.state.members.get(member_id) else {
            return Err(ErrorCode::UnknownMemberId);
        };
        if !epochs_are_known {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if member.current.epoch == epoch { Ok(()) } else { Err(ErrorCode::StaleMemberEpoch) }
    }
}
