//! Groups of the consumer protocol (KIP-848): the broker assigns the partitions, and members learn of
//! their share by heartbeats alone. While a group moves from one protocol to the other, members of
//! the classic protocol live in it too.
//!
//! Owned by the shard. A handler works on a [`Draft`] of the group, where each change is also a
//! record; the group itself changes when the records are replayed. Only deadlines live in memory.

mod assignor;
mod classic_member;
mod deadlines;
mod describe;
mod draft;
mod heartbeat;
mod racks;
mod reconcile;
mod records;
mod regex;
mod state;
mod subscription;

use kalda_model::Offset;
use kalda_protocol::ErrorCode;

use crate::classic::{ClassicGroup, Membership};
use crate::decision::Turn;
use deadlines::Deadlines;
use regex::RegexChecks;

pub(crate) use classic_member::{ClassicJoin, client_assignment};
pub(crate) use describe::{describe_missing, listed};
pub(crate) use draft::Draft;
pub(crate) use heartbeat::{Beat, refuse};
pub(crate) use records::decode_consumer;
pub(crate) use state::{Change, ConsumerMember, ConsumerState, Current, Partitions};
pub(crate) use subscription::sorted;

/// A group, and who has been heard of lately.
#[derive(Clone, Default, Debug)]
pub(crate) struct ConsumerGroup {
    /// What the log says.
    pub(crate) state: ConsumerState,
    /// By when members have to show themselves.
    deadlines: Deadlines,
    /// The metadata that the subscriptions were last compared with.
    seen_metadata: Option<Offset>,
    /// When regular expressions were last resolved.
    regex_checks: RegexChecks,
    /// The entry of this group in the shard's timers.
    pub(crate) armed_ms: Option<i64>,
}

/// Which request commits, or looks at, offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OffsetRequest {
    /// One that knows of member epochs.
    WithEpochs,
    /// One that is too old for them.
    WithoutEpochs,
    Transactional,
}

impl ConsumerGroup {
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        self.deadlines.next_ms().into_iter().chain(self.regex_checks.due_ms()).min()
    }

    /// Gives every member a full session, and those that owe partitions their full time.
    pub(crate) fn on_loaded(&mut self, now_ms: i64, session_timeout_ms: i32) {
        self.deadlines.complete(&self.state, now_ms, session_timeout_ms);
    }

    /// What was decided for the group is not in the log: members that were to go are still there,
    /// and what the metadata brought has to be looked at again.
    pub(crate) fn on_append_failed(&mut self, now_ms: i64, session_timeout_ms: i32) {
        self.deadlines.complete(&self.state, now_ms, session_timeout_ms);
        self.seen_metadata = None;
        self.regex_checks.reset();
    }

    /// A classic group has become this one: its members have their sessions.
    pub(crate) fn expect_all(&mut self, classic: &ClassicGroup, now_ms: i64) {
        for (member_id, timeout_ms) in classic.sessions() {
            self.deadlines.renew_session(member_id, now_ms, timeout_ms);
        }
    }

    /// The members whose time is up, which the caller takes out of the group.
    pub(crate) fn take_expired(&mut self, now_ms: i64) -> Vec<String> {
        self.deadlines.take_expired(&self.state, now_ms)
    }

    /// Nothing more is expected of the member.
    pub(crate) fn forget(&mut self, member_id: &str) {
        self.deadlines.forget(member_id);
    }

    /// What holds between any two events.
    #[cfg(test)]
    pub(crate) fn assert_consistent(&self) {
        let state = &self.state;
        assert!(state.target_epoch <= state.epoch, "a plan is for an epoch that was");
        let used = state.subscribed_regexes();
        assert!(state.regexes.keys().all(|regex| used.contains(regex.as_str())), "in use");
        let mut held = Partitions::new();
        for (id, member) in &state.members {
            assert!(member.current.epoch <= state.target_epoch, "{id} is ahead of the plan");
            assert!(self.deadlines.has_session(id), "{id} would stay for ever");
            for partition in member.current.assigned.iter().chain(&member.current.revoking) {
                assert!(held.insert(*partition), "{partition:?} has two owners");
            }
        }
    }

    /// Resolves regular expressions whose turn has come.
    pub(crate) fn on_regex_timer(&mut self, id: &str, turn: &mut Turn<'_>) {
        if self.regex_checks.due_ms().is_none_or(|at_ms| at_ms > turn.now_ms()) {
            return;
        }
        let mut draft = Draft::new(id, &self.state);
        if self.refresh_regexes(&mut draft, turn) {
            draft.bump_epoch(turn.cx.image);
        }
        turn.out.records.extend(draft.into_records());
    }

    fn refresh_regexes(&mut self, draft: &mut Draft<'_>, turn: &Turn<'_>) -> bool {
        let interval_ms = turn.settings.consumer_regex_refresh_interval_ms;
        self.regex_checks.refresh(draft, turn.cx, interval_ms)
    }

    /// Whether offsets may be committed, or looked at, in this name.
    pub(crate) fn check_offsets(
        &self,
        who: Membership<'_>,
        request: OffsetRequest,
    ) -> Result<(), ErrorCode> {
        let transactional = request == OffsetRequest::Transactional;
        if who.generation < 0 && self.state.members.is_empty() {
            return Ok(());
        }
        // Producers of old say nothing of a membership.
        let is_nobody = who.member_id.is_empty() && who.instance_id.is_none();
        if transactional && who.generation < 0 && is_nobody {
            return Ok(());
        }
        let Some(member) = self.state.members.get(who.member_id) else {
            return Err(ErrorCode::UnknownMemberId);
        };
        let is_classic = member.classic().is_some();
        if request == OffsetRequest::WithoutEpochs && !is_classic {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if member.current.epoch == who.generation {
            Ok(())
        } else if is_classic || transactional {
            Err(ErrorCode::IllegalGeneration)
        } else {
            Err(ErrorCode::StaleMemberEpoch)
        }
    }
}
