//! Fetch and FetchSnapshot as a follower asks for them: growing, cutting and replacing its log.

use kalda_model::{BrokerId, LeaderEpoch, Offset};

use super::effect::{Effect, Fault};
use super::log_view::{LogView, OffsetAndEpoch};
use super::message::{
    Batch, Body, FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse, Request,
};
use super::role::Role;
use super::{Moment, Quorum};
use crate::snapshot::SnapshotId;

/// Who looks for the leader asks one node after the other, with pauses of so many back-offs.
const DISCOVERY_BACKOFFS: i64 = 5;

impl Quorum {
    pub(super) fn poll_unattached(&mut self, deadline: i64, at: Moment<'_>) -> i64 {
        let wake_at = if self.may_stand() { deadline } else { i64::MAX };
        if wake_at <= at.now {
            self.become_prospective(at);
            return at.now;
        }
        wake_at.min(self.discover(at))
    }

    pub(super) fn poll_follower(&mut self, at: Moment<'_>) -> i64 {
        let Role::Follower(following) = &self.role else { return i64::MAX };
        let (leader, deadline) = (following.leader, following.fetch_deadline);
        let is_replacing = following.snapshot.is_some();
        let is_late = deadline <= at.now;
        if is_late && self.may_stand() {
            self.become_prospective(at);
            return at.now;
        }
        let wake_at = if self.may_stand() || !is_late { deadline } else { i64::MAX };
        if is_late {
            // An observer cannot call an election, but it can ask others who won one. It may be a voter
            // already in the log of one who stands, and must not stand in the way.
            if let Role::Follower(following) = &mut self.role {
                following.has_fetched = false;
            }
            return wake_at.min(self.discover(at));
        }
        let announce_at = following.announce_at;
        if announce_at <= at.now
            && self.peers.ready_at(leader) <= at.now
            && let Some(change) = self.own_change()
        {
            // Until it is answered nothing is fetched: between two there is time to catch up.
            let pause_ms = self.settings.request_timeout_ms + self.settings.fetch_timeout_ms;
            if let Role::Follower(following) = &mut self.role {
                following.announce_at = at.now + pause_ms;
            }
            return wake_at.min(self.send(leader, change, at));
        }
        let is_flushed = self.log.flushed_offset() == self.log.end_offset();
        let sign_at =
            if is_flushed || is_replacing { i64::MIN } else { self.next_sign_at(deadline) };
        if at.now < sign_at {
            return wake_at.min(sign_at);
        }
        let Some(request) = self.next_fetch() else { return wake_at };
        if let (Role::Follower(following), Request::Fetch(fetch)) = (&mut self.role, &request)
            && self.peers.ready_at(leader) <= at.now
        {
            following.told = Some(fetch.end.offset);
        }
        wake_at.min(self.send(leader, request, at))
    }

    /// Whether it may call an election; not while another log is put in the place of its own. Who
    /// was removed, and cannot tell whether that is committed, may still have to lead: perhaps the
    /// record is nowhere else, and nobody whose log is shorter gets the vote of who has it.
    pub(super) fn may_stand(&self) -> bool {
        let mut sets = self.log.voters_since(self.high_watermark);
        let is_voter = sets.any(|voters| voters.contains(&self.local));
        self.installing.is_none()
            && is_voter
            && (self.log.end_offset() == Offset::ZERO || self.is_up_to_date(self.log.end()))
    }

    /// Asks anyone, at a measured pace.
    fn discover(&mut self, at: Moment<'_>) -> i64 {
        if self.peers.has_any_in_flight(at.now) {
            return self.peers.next_deadline(at.now);
        }
        if at.now < self.discover_at {
            return self.discover_at;
        }
        let Some(mut request) = self.fetch_request() else { return i64::MAX };
        let Some(peer) = self.any_peer(at) else { return i64::MAX };
        if self.election.is_newcomer && self.leader() != Some(peer) {
            // Others like it want to hear how far it is; no leader is to take it for a follower.
            request = FetchRequest { replica: self.local, epoch: LeaderEpoch(0), ..request };
        }
        self.discover_at = at.now + self.settings.retry_backoff_ms * DISCOVERY_BACKOFFS;
        self.send(peer, Request::Fetch(request), at)
    }

    /// When to ask while a flush takes its time. There is nothing to ask for before it is over, but
    /// without a sign of life each would take the other for dead.
    fn next_sign_at(&self, fetch_deadline: i64) -> i64 {
        let heard_at = fetch_deadline - self.settings.fetch_timeout_ms;
        heard_at + self.settings.fetch_timeout_ms / 4
    }

    fn next_fetch(&self) -> Option<Request> {
        let Role::Follower(following) = &self.role else { return None };
        match following.snapshot {
            Some((id, position)) => Some(Request::FetchSnapshot(FetchSnapshotRequest {
                replica: self.fetches_as(),
                epoch: self.epoch(),
                id,
                position: position?,
            })),
            None => self.fetch_request().map(Request::Fetch),
        }
    }

    /// Only what is on disk is told to a leader: it may commit on the strength of it.
    fn fetch_request(&self) -> Option<FetchRequest> {
        self.installing.is_none().then(|| FetchRequest {
            replica: self.fetches_as(),
            epoch: self.epoch(),
            end: self.log.flushed_end(),
            high_watermark: self.high_watermark,
            wait_ms_max: self.settings.fetch_wait_ms_max,
        })
    }

    /// The leader is gone. Those who notice it together do not stand for election together.
    pub(super) fn on_gone(&mut self, node: BrokerId, at: Moment<'_>) {
        let pause = self.settings.gone_backoff_ms(at.rng);
        let Role::Follower(following) = &mut self.role else { return };
        if following.leader == node {
            following.has_fetched = false;
            following.fetch_deadline = following.fetch_deadline.min(at.now + pause);
        }
    }

    /// Counts an answer of the leader as a sign of life. Answers false if it is not the leader.
    fn hear_leader(&mut self, from: BrokerId, at: Moment<'_>) -> bool {
        let Role::Follower(following) = &mut self.role else { return false };
        if following.leader != from {
            return false;
        }
        following.has_fetched = true;
        following.fetch_deadline = at.now + self.settings.fetch_timeout_ms;
        true
    }

    pub(super) fn on_fetch_response(
        &mut self,
        from: BrokerId,
        fetch: FetchResponse,
        at: Moment<'_>,
    ) {
        if !self.hear_leader(from, at) || !self.has_told_all() {
            return;
        }
        if let Some(diverging) = fetch.diverging {
            self.cut(from, diverging, at);
        } else if let Some(id) = fetch.snapshot {
            self.begin_snapshot(from, id, at);
        } else {
            let (told, has_more) = (fetch.high_watermark, !fetch.batches.is_empty());
            self.append_fetched(fetch.batches);
            let high_watermark = told.min(self.log.end_offset());
            if high_watermark > self.high_watermark {
                self.high_watermark = high_watermark;
                self.effects.push(Effect::HighWatermark(high_watermark));
            }
            self.note_committed(told, has_more);
        }
    }

    /// Whether the leader was told of the whole log: if not, its answer was asked for as a sign of life, and
    /// fits to a log that ends earlier.
    fn has_told_all(&self) -> bool {
        let Role::Follower(following) = &self.role else { return false };
        following.told == Some(self.log.end_offset())
    }

    fn cut(&mut self, from: BrokerId, diverging: OffsetAndEpoch, at: Moment<'_>) {
        let to = self.log.cut_for(diverging);
        if to < self.high_watermark {
            let high_watermark = self.high_watermark;
            self.effects.push(Effect::Fault(Fault::BelowHighWatermark { to, high_watermark }));
            self.peers.pause(from, self.retry_at(at));
        } else if to < self.log.end_offset() {
            self.log.truncate(to);
            self.effects.push(Effect::Truncate(to));
        } else {
            self.peers.pause(from, self.retry_at(at));
        }
    }

    /// Takes the batches that continue the log. A leader has none of a later epoch than its own:
    /// those come from a read that went on while another took over (KAFKA-18723).
    fn append_fetched(&mut self, batches: Vec<Batch>) {
        let mut taken = Vec::new();
        for batch in batches {
            let is_whole = match &batch.body {
                Body::Data(_) => batch.record_count > 0,
                Body::Control(records) => {
                    i64::try_from(records.len()) == Ok(batch.record_count) && !records.is_empty()
                }
            };
            let epochs = self.log.end().epoch..=self.epoch();
            let is_next = batch.base_offset == self.log.end_offset();
            if !is_whole || !is_next || !epochs.contains(&batch.epoch) {
                break;
            }
            self.log.append(&batch);
            taken.push(batch);
        }
        if !taken.is_empty() {
            self.effects.push(Effect::Append(taken));
        }
    }

    fn begin_snapshot(&mut self, from: BrokerId, id: SnapshotId, at: Moment<'_>) {
        if id.end_offset < self.high_watermark {
            let (to, high_watermark) = (id.end_offset, self.high_watermark);
            self.effects.push(Effect::Fault(Fault::BelowHighWatermark { to, high_watermark }));
            self.peers.pause(from, self.retry_at(at));
        } else if let Role::Follower(following) = &mut self.role {
            following.snapshot = Some((id, Some(0)));
        }
    }

    pub(super) fn on_snapshot_response(
        &mut self,
        from: BrokerId,
        piece: FetchSnapshotResponse,
        at: Moment<'_>,
    ) {
        if !self.hear_leader(from, at) {
            return;
        }
        let pause_until = self.retry_at(at);
        let Role::Follower(following) = &mut self.role else { return };
        let Some((id, Some(position))) = following.snapshot else { return };
        let next = piece.position.saturating_add(piece.bytes.len() as u64);
        let is_expected = piece.id == id && piece.position == position && next <= piece.size;
        let is_last = next == piece.size;
        if !is_expected || (piece.bytes.is_empty() && !is_last) {
            following.snapshot = None;
            return self.peers.pause(from, pause_until);
        }
        following.snapshot = Some((id, (!is_last).then_some(next)));
        if is_last {
            self.installing = Some(id);
        }
        self.effects.push(Effect::WriteSnapshot { id, position, bytes: piece.bytes, is_last });
    }

    /// The leader has another snapshot by now: a fetch will say which.
    pub(super) fn restart_snapshot(&mut self) {
        if let Role::Follower(following) = &mut self.role {
            following.snapshot = None;
        }
    }

    pub(super) fn on_snapshot_installed(&mut self, log: LogView) {
        if self.installing.take().is_none() {
            return;
        }
        self.restart_snapshot();
        self.log = log;
        if self.log.start_offset() > self.high_watermark {
            self.high_watermark = self.log.start_offset();
            self.effects.push(Effect::HighWatermark(self.high_watermark));
        }
    }

    pub(super) fn on_snapshot_unusable(&mut self, id: SnapshotId, at: Moment<'_>) {
        if self.installing.take_if(|installing| *installing == id).is_some() {
            self.restart_snapshot();
            if let Some(leader) = self.leader() {
                self.peers.pause(leader, self.retry_at(at));
            }
        }
    }

    pub(super) fn on_snapshot_taken(&mut self, id: SnapshotId) {
        let is_committed = id.end_offset <= self.high_watermark && id.end_offset > Offset::ZERO;
        let end = OffsetAndEpoch { offset: id.end_offset, epoch: id.epoch };
        if is_committed && self.log.holds(end) {
            self.log.on_snapshot(id);
        }
    }
}
