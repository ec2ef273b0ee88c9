//! One partition of `__consumer_offsets`: its groups and their offsets.
//!
//! Called by the loop that the server runs for the partition. `handle` and `on_timer` decide on the
//! current state and never change what is logged; `replay` is the only way in for that, while loading
//! and live alike, so that a coordinator that loads the log is where the one before it was. What a
//! group's join phase has in memory is nobody else's, and does change as requests come.

use std::collections::{BTreeMap, BTreeSet};

use kalda_model::{Offset, ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::stored::group::{GroupKey, GroupMetadataValue};

use crate::classic::ClassicGroup;
use crate::consumer::{Change, ConsumerGroup, Draft};
use crate::contract::coordinator_error;
use crate::decision::{Context, CoordinatorRecord, Decision, Token, Turn};
use crate::migration::fence;
use crate::offsets::{self, Expiry, ExpiryRule, OffsetStore, Outcome};
use crate::records::{self, ReplayError, Replayed};
use crate::request::GroupResponse;
use crate::settings::GroupSettings;

/// Tombstones in one turn of the sweep: the batch has to fit into the log's segments.
const SWEEP_RECORDS_MAX: usize = 5_000;
/// The pause before a sweep that was cut short goes on.
const SWEEP_PAUSE_MS: i64 = 1_000;

/// The coordinator of the groups in one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupShard {
    pub(crate) settings: GroupSettings,
    pub(crate) offsets: OffsetStore,
    /// Classic and simple groups.
    pub(crate) groups: BTreeMap<String, ClassicGroup>,
    /// Groups of the consumer protocol. An id is in one of the two maps.
    pub(crate) consumers: BTreeMap<String, ConsumerGroup>,
    /// The next deadline of each group that has one: not later than the true one.
    timers: BTreeSet<(i64, String)>,
    /// When offsets are next looked through for expired ones; `None` until loaded.
    next_sweep_ms: Option<i64>,
    /// The newest record replayed.
    pub(crate) last_replayed: Option<Offset>,
}

impl GroupShard {
    /// A shard that has yet to replay its log.
    #[must_use]
    pub fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            offsets: OffsetStore::default(),
            groups: BTreeMap::new(),
            consumers: BTreeMap::new(),
            timers: BTreeSet::new(),
            next_sweep_ms: None,
            last_replayed: None,
        }
    }

    /// Applies a plain record of the log. Records of types that are not known are skipped.
    ///
    /// # Errors
    /// The record does not decode; the shard must then not serve.
    pub fn replay(
        &mut self,
        offset: Offset,
        record: &CoordinatorRecord,
    ) -> Result<(), ReplayError> {
        match records::decode(record)? {
            Replayed::Offset { key, value } => {
                if value.is_some() {
                    self.ensure_group(&key.group);
                }
                self.offsets.replay(offset, key, value);
            }
            Replayed::Group { group, value } => self.replay_group(group, value),
            Replayed::Consumer { group, change } => self.replay_consumer(group, change),
            Replayed::Skipped => {}
        }
        self.last_replayed = Some(offset);
        Ok(())
    }

    /// Applies a record that stands in a producer's transaction.
    ///
    /// # Errors
    /// As [`Self::replay`].
    pub fn replay_transactional(
        &mut self,
        producer_id: ProducerId,
        offset: Offset,
        record: &CoordinatorRecord,
    ) -> Result<(), ReplayError> {
        match records::decode(record)? {
            Replayed::Offset { key, value } => {
                if value.is_some() {
                    self.ensure_group(&key.group);
                }
                self.offsets.replay_transactional(producer_id, offset, key, value);
            }
            Replayed::Group { group, value } => self.replay_group(group, value),
            Replayed::Consumer { group, change } => self.replay_consumer(group, change),
            Replayed::Skipped => {}
        }
        self.last_replayed = Some(offset);
        Ok(())
    }

    /// Applies the marker that ends a producer's transaction. The log has checked the epoch.
    pub fn replay_marker(
        &mut self,
        producer_id: ProducerId,
        _producer_epoch: ProducerEpoch,
        commit: bool,
        offset: Offset,
    ) {
        let outcome = if commit { Outcome::Committed } else { Outcome::Aborted };
        self.offsets.replay_marker(producer_id, outcome);
        self.last_replayed = Some(offset);
    }

    /// The log is replayed: members get a full session, and the shard may serve.
    pub fn on_loaded(&mut self, now_ms: i64) {
        self.next_sweep_ms =
            Some(now_ms.saturating_add(self.settings.offsets_retention_check_interval_ms));
        let ids: Vec<String> = self.groups.keys().chain(self.consumers.keys()).cloned().collect();
        for id in ids {
            if let Some(group) = self.consumers.get_mut(&id) {
                group.on_loaded(now_ms, self.settings.consumer_session_timeout_ms);
            }
            if let Some(group) = self.groups.get_mut(&id) {
                group.on_loaded(now_ms);
            }
            self.rearm(&id);
        }
    }

    /// When [`Self::on_timer`] is due.
    #[must_use]
    pub fn next_timer_ms(&self) -> Option<i64> {
        let group = self.timers.first().map(|(at_ms, _)| *at_ms);
        group.into_iter().chain(self.next_sweep_ms).min()
    }

    /// Does what is due by now.
    pub fn on_timer(&mut self, cx: &Context<'_>) -> Decision {
        let mut out = Decision { after: self.last_replayed, ..Decision::default() };
        let due: Vec<(i64, String)> =
            self.timers.iter().take_while(|(at_ms, _)| *at_ms <= cx.now_ms).cloned().collect();
        for (at_ms, id) in due {
            self.timers.remove(&(at_ms, id.clone()));
            if let Some(group) = self.groups.get_mut(&id) {
                group.armed_ms = None;
                let mut turn = Turn { cx, settings: &self.settings, out };
                group.on_timer(&mut turn);
                out = turn.out;
            }
            if let Some(group) = self.consumers.get_mut(&id) {
                group.armed_ms = None;
                let mut turn = Turn { cx, settings: &self.settings, out };
                let gone = group.take_expired(cx.now_ms);
                if gone.is_empty() {
                    group.on_regex_timer(&id, &mut turn);
                } else {
                    // Its turn comes again when this is replayed.
                    fence(&mut self.groups, group, &id, &gone, &mut turn);
                }
                out = turn.out;
            }
            self.rearm(&id);
        }
        if self.next_sweep_ms.is_some_and(|at_ms| at_ms <= cx.now_ms) {
            self.sweep(cx, &mut out);
        }
        out
    }

    /// The records of a decision could not be appended. Its answers become refusals, and groups whose
    /// step was to be logged join again. The decision that comes back may have records of its own.
    pub fn on_append_failed(
        &mut self,
        failed: Decision,
        error: ErrorCode,
        cx: &Context<'_>,
    ) -> Decision {
        let error = coordinator_error(error);
        let mut turn = Turn::new(cx, &self.settings, self.last_replayed);
        for (token, answer) in failed.answers {
            turn.answer(token, answer.into_error(error));
        }
        let mut out = turn.out;
        // Groups that were to come into being with these records.
        self.consumers.retain(|_, group| group.state.epoch > 0);
        // A classic group that was to take the place of an empty consumer group.
        let both: Vec<String> =
            self.groups.keys().filter(|id| self.consumers.contains_key(*id)).cloned().collect();
        for id in both {
            if let Some(group) = self.groups.get_mut(&id) {
                group.unload(&mut out.answers);
            }
            self.remove_group(&id);
            self.rearm(&id);
        }
        for record in &failed.records {
            if let Ok(Replayed::Consumer { group: id, .. }) = records::decode(record)
                && let Some(group) = self.consumers.get_mut(&id)
            {
                group.on_append_failed(cx.now_ms, self.settings.consumer_session_timeout_ms);
                self.rearm(&id);
            }
            let Ok(GroupKey::GroupMetadata(key)) = GroupKey::decode(record.key.clone()) else {
                continue;
            };
            if let Some(group) = self.groups.get_mut(&key.group) {
                let mut turn = Turn { cx, settings: &self.settings, out };
                group.on_append_failed(&mut turn);
                out = turn.out;
            }
            self.rearm(&key.group);
        }
        out
    }

    /// Topics are gone: so are their offsets.
    pub fn on_topic_deleted(&mut self, topics: &[String]) -> Decision {
        let records = topics.iter().flat_map(|topic| self.offsets.delete_topic(topic)).collect();
        Decision { records, after: self.last_replayed, ..Decision::default() }
    }

    /// Another broker leads the partition now: everybody who waits goes there. Decisions that wait
    /// to be committed are the caller's to answer: see [`GroupResponse::into_error`].
    pub fn unload(&mut self) -> Vec<(Token, GroupResponse)> {
        let mut answers = Vec::new();
        for group in self.groups.values_mut() {
            group.unload(&mut answers);
        }
        self.timers.clear();
        self.next_sweep_ms = None;
        answers
    }

    /// What the log says of the groups, for comparison in tests.
    #[cfg(test)]
    pub(crate) fn logged_groups(&self) -> impl Iterator<Item = (&str, &GroupMetadataValue)> {
        self.groups.values().filter_map(|group| Some((group.id.as_str(), group.logged()?)))
    }

    /// Whoever has a deadline is woken for it.
    #[cfg(test)]
    pub(crate) fn assert_timers(&self) {
        let classic = self.groups.iter().map(|(id, group)| (id, group.next_deadline_ms()));
        let consumers = self.consumers.iter().map(|(id, group)| (id, group.next_deadline_ms()));
        for (id, deadline_ms) in classic.chain(consumers) {
            let Some(deadline_ms) = deadline_ms else { continue };
            let armed = self.timers.iter().any(|(at_ms, of)| of == id && *at_ms <= deadline_ms);
            assert!(armed, "{id} is not woken at {deadline_ms}");
        }
    }

    pub(crate) fn turn<'a>(&'a self, cx: &'a Context<'a>) -> Turn<'a> {
        Turn::new(cx, &self.settings, self.last_replayed)
    }

    /// Runs a step of one group; `None` if there is no such group.
    pub(crate) fn with_group<R>(
        &mut self,
        id: &str,
        cx: &Context<'_>,
        step: impl FnOnce(&mut ClassicGroup, &mut Turn<'_>) -> R,
    ) -> Option<(R, Decision)> {
        let group = self.groups.get_mut(id)?;
        let mut turn = Turn::new(cx, &self.settings, self.last_replayed);
        let result = step(group, &mut turn);
        let out = turn.out;
        self.rearm(id);
        Some((result, out))
    }

    pub(crate) fn ensure_group(&mut self, id: &str) {
        if !self.groups.contains_key(id) && !self.consumers.contains_key(id) {
            self.groups.insert(id.to_owned(), ClassicGroup::new(id));
        }
    }

    /// Tombstones for a group and all its offsets.
    pub(crate) fn tombstones(&self, id: &str) -> Vec<CoordinatorRecord> {
        let mut tombstones = self.offsets.delete_group(id);
        tombstones.extend(self.group_tombstones(id));
        tombstones
    }

    /// Tombstones for a group without its offsets.
    pub(crate) fn group_tombstones(&self, id: &str) -> Vec<CoordinatorRecord> {
        match self.consumers.get(id) {
            Some(group) => {
                let mut draft = Draft::new(id, &group.state);
                draft.delete();
                draft.into_records()
            }
            None => vec![records::group_tombstone(id)],
        }
    }

    /// Brings the group's timer in line with its deadlines, and forgets a group that has nothing.
    pub(crate) fn rearm(&mut self, id: &str) {
        if let Some(group) = self.consumers.get_mut(id)
            && !self.groups.contains_key(id)
        {
            let deadline = group.next_deadline_ms();
            return rearm_timer(&mut self.timers, id, deadline, &mut group.armed_ms);
        }
        let Some(group) = self.groups.get_mut(id) else { return };
        let deadline = group.next_deadline_ms();
        rearm_timer(&mut self.timers, id, deadline, &mut group.armed_ms);
        // Members that were told an id and never came leave nothing behind.
        let forgettable = group.is_idle()
            && group.logged().is_none()
            && group.has_no_history()
            && !self.offsets.has_offsets(id)
            && !self.offsets.has_open_transaction(id);
        if forgettable {
            self.remove_group(id);
        }
    }

    fn remove_group(&mut self, id: &str) {
        if let Some(group) = self.groups.remove(id) {
            self.disarm(id, group.armed_ms);
        }
    }

    /// A group that goes takes its timer with it. The one that takes its place may have been armed
    /// for the very same moment, or not yet.
    fn disarm(&mut self, id: &str, armed_ms: Option<i64>) {
        if let Some(at_ms) = armed_ms {
            self.timers.remove(&(at_ms, id.to_owned()));
        }
        if let Some(group) = self.groups.get_mut(id) {
            group.armed_ms = None;
        }
        if let Some(group) = self.consumers.get_mut(id) {
            group.armed_ms = None;
        }
        self.rearm(id);
    }

    fn replay_group(&mut self, id: String, value: Option<GroupMetadataValue>) {
        match value {
            Some(value) => {
                self.ensure_group(&id);
                if let Some(group) = self.groups.get_mut(&id) {
                    group.replay(value);
                }
                // Sessions start when all is replayed, and there is nothing to arm before that.
                if self.next_sweep_ms.is_some() {
                    self.rearm(&id);
                }
            }
            // Whatever offsets stand after the tombstone, a simple group holds.
            None if self.offsets.has_offsets(&id) || self.offsets.has_open_transaction(&id) => {
                self.remove_group(&id);
                self.ensure_group(&id);
            }
            None => self.remove_group(&id),
        }
    }

    fn replay_consumer(&mut self, id: String, change: Change) {
        if change == Change::Epoch(None) {
            if let Some(group) = self.consumers.remove(&id) {
                self.disarm(&id, group.armed_ms);
            }
            if self.offsets.has_offsets(&id) || self.offsets.has_open_transaction(&id) {
                self.ensure_group(&id);
            }
            return;
        }
        // What is left of a group after its end are tombstones, which make no new one.
        let is_tombstone = matches!(
            change,
            Change::Member(_, None)
                | Change::TargetEpoch(None)
                | Change::Target(_, None)
                | Change::Current(_, None)
                | Change::Regex(_, None)
        );
        if is_tombstone {
            if let Some(group) = self.consumers.get_mut(&id) {
                group.state.apply(change);
            }
            return;
        }
        // Offsets that stood in the log before the group's records made it a simple one.
        self.remove_group(&id);
        self.consumers.entry(id).or_default().state.apply(change);
    }

    /// Deletes offsets whose retention is over, and empty groups that have none left.
    fn sweep(&mut self, cx: &Context<'_>, out: &mut Decision) {
        let interval_ms = self.settings.offsets_retention_check_interval_ms.max(SWEEP_PAUSE_MS);
        self.next_sweep_ms = Some(cx.now_ms.saturating_add(interval_ms));
        for (id, group) in &self.groups {
            if out.records.len() >= SWEEP_RECORDS_MAX {
                self.next_sweep_ms = Some(cx.now_ms.saturating_add(SWEEP_PAUSE_MS));
                break;
            }
            let rule = ExpiryRule {
                expiry: group.expiry(),
                now_ms: cx.wall_ms,
                retention_ms: self.settings.offsets_retention_ms,
            };
            let subscribed = |topic: &str| group.is_subscribed_to(topic);
            let expired = offsets::expired(&self.offsets, id, &rule, subscribed);
            out.records.extend(expired.tombstones);
            if expired.all && group.is_idle() {
                out.records.push(records::group_tombstone(id));
            }
        }
        for (id, group) in &self.consumers {
            if out.records.len() >= SWEEP_RECORDS_MAX {
                self.next_sweep_ms = Some(cx.now_ms.saturating_add(SWEEP_PAUSE_MS));
                break;
            }
            let rule = ExpiryRule {
                expiry: Expiry::SinceCommit,
                now_ms: cx.wall_ms,
                retention_ms: self.settings.offsets_retention_ms,
            };
            let subscribed = |topic: &str| group.state.is_subscribed_to(topic);
            let expired = offsets::expired(&self.offsets, id, &rule, subscribed);
            out.records.extend(expired.tombstones);
            if expired.all && group.state.members.is_empty() {
                out.records.extend(self.group_tombstones(id));
            }
        }
    }
}

fn rearm_timer(
    timers: &mut BTreeSet<(i64, String)>,
    id: &str,
    deadline_ms: Option<i64>,
    armed_ms: &mut Option<i64>,
) {
    if deadline_ms == *armed_ms {
        return;
    }
    if let Some(at_ms) = armed_ms.take() {
        timers.remove(&(at_ms, id.to_owned()));
    }
    if let Some(at_ms) = deadline_ms {
        timers.insert((at_ms, id.to_owned()));
    }
    *armed_ms = deadline_ms;
}
