//! Fetch and FetchSnapshot as the leader serves them; a fetch is also how a follower says what it
//! has on its disk.

use bytes::Bytes;
use kalda_model::{LeaderEpoch, Offset};

use super::effect::{Effect, RequestId};
use super::log_view::Fit;
use super::message::{
    FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse, Refusal, ResponseBody,
};
use super::role::{Leading, Parked, Progress, Role};
use super::voters::ReplicaKey;
use super::{Moment, Quorum};

/// Most replicas that are remembered: anyone may claim to be an observer.
const REPLICAS_MAX: usize = 2000;
/// An observer that did not fetch for so long is forgotten.
const OBSERVER_SESSION_MS: i64 = 300_000;

impl Quorum {
    pub(super) fn on_fetch(&mut self, id: RequestId, fetch: &FetchRequest, at: Moment<'_>) {
        let is_sane = fetch.end.offset >= Offset::ZERO && fetch.replica.id != self.local.id;
        if is_sane {
            self.note_end(fetch.replica.id, fetch.epoch, fetch.end);
        }
        let refusal = self.leader_refusal(fetch.epoch);
        if let Some(refusal) = refusal.or((!is_sane).then_some(Refusal::InvalidRequest)) {
            return self.answer(id, Some(refusal), ResponseBody::Plain);
        }
        self.release_parked(fetch.replica);
        let fit = self.log.fit(fetch.end);
        let end = (fit == Fit::Prefix).then_some(fetch.end.offset);
        let is_tracked = self.track(fetch.replica, end, at);
        let high_watermark = self.high_watermark;
        let body = FetchResponse { high_watermark, ..FetchResponse::default() };
        match fit {
            Fit::Prefix => {}
            Fit::Diverging(end) => {
                let body = FetchResponse { diverging: Some(end), ..body };
                return self.answer(id, None, ResponseBody::Fetch(body));
            }
            Fit::Snapshot(snapshot) => {
                let body = FetchResponse { snapshot: Some(snapshot), ..body };
                return self.answer(id, None, ResponseBody::Fetch(body));
            }
        }
        self.advance_high_watermark(at);
        let parked = Parked {
            request: id,
            from: fetch.end.offset,
            high_watermark: fetch.high_watermark,
            deadline: at.now + fetch.wait_ms_max.clamp(0, self.settings.fetch_timeout_ms / 2),
        };
        match &mut self.role {
            Role::Leader(leading) if is_tracked => {
                leading.parked.insert(fetch.replica, parked);
            }
            _ => self.answer_fetch(parked),
        }
    }

    pub(super) fn on_fetch_snapshot(
        &mut self,
        id: RequestId,
        fetch: &FetchSnapshotRequest,
        at: Moment<'_>,
    ) {
        let refusal = self.leader_refusal(fetch.epoch);
        let is_self = fetch.replica.id == self.local.id;
        if let Some(refusal) = refusal.or(is_self.then_some(Refusal::InvalidRequest)) {
            return self.answer(id, Some(refusal), ResponseBody::Plain);
        }
        let end = match &self.role {
            Role::Leader(leading) => leading.replicas.get(&fetch.replica).and_then(|it| it.end),
            _ => None,
        };
        self.track(fetch.replica, end, at);
        let body = ResponseBody::FetchSnapshot(FetchSnapshotResponse {
            id: fetch.id,
            position: fetch.position,
            size: 0,
            bytes: Bytes::new(),
        });
        if self.log.snapshot() == Some(fetch.id) {
            let response = self.response(None, body);
            self.effects.push(Effect::AnswerSnapshot { request: id, response });
        } else {
            self.answer(id, Some(Refusal::SnapshotNotFound), body);
        }
    }

    pub(super) fn leader_refusal(&self, epoch: LeaderEpoch) -> Option<Refusal> {
        if epoch < self.epoch() {
            Some(Refusal::FencedLeaderEpoch)
        } else if epoch > self.epoch() {
            Some(Refusal::UnknownLeaderEpoch)
        } else {
            (!matches!(self.role, Role::Leader(_))).then_some(Refusal::NotLeader)
        }
    }

    /// Remembers how far a replica is. Answers whether it was remembered.
    fn track(&mut self, replica: ReplicaKey, end: Option<Offset>, at: Moment<'_>) -> bool {
        let leader_end = self.log.end_offset();
        let voters = self.log.voters().clone();
        let Role::Leader(leading) = &mut self.role else { return false };
        let known = leading.replicas.get(&replica).copied();
        if known.is_none() {
            let is_live =
                |progress: &Progress| progress.last_fetch_ms + OBSERVER_SESSION_MS > at.now;
            leading.replicas.retain(|key, progress| voters.contains(key) || is_live(progress));
            if leading.replicas.len() >= REPLICAS_MAX && !voters.contains(&replica) {
                return false;
            }
        }
        let caught_up_before = known.and_then(|it| it.last_caught_up_ms);
        let last_caught_up_ms = match (end, known) {
            (Some(end), _) if end >= leader_end => Some(at.now),
            (Some(end), Some(known)) if end >= known.leader_end => Some(known.last_fetch_ms),
            _ => caught_up_before,
        };
        let progress = Progress { end, last_fetch_ms: at.now, last_caught_up_ms, leader_end };
        leading.replicas.insert(replica, progress);
        true
    }

    /// The replica asks anew: it has given up on its last fetch.
    fn release_parked(&mut self, replica: ReplicaKey) {
        let Role::Leader(leading) = &mut self.role else { return };
        if let Some(parked) = leading.parked.remove(&replica) {
            let high_watermark = self.high_watermark;
            let body = FetchResponse { high_watermark, ..FetchResponse::default() };
            self.answer(parked.request, None, ResponseBody::Fetch(body));
        }
    }

    /// Answers the fetches that have something to be told, or waited long enough.
    pub(super) fn answer_parked(&mut self, at: Moment<'_>) -> i64 {
        let (end, high_watermark) = (self.log.end_offset(), self.high_watermark);
        let Role::Leader(leading) = &mut self.role else { return i64::MAX };
        let is_due = |parked: &Parked| {
            let has_news = end > parked.from || high_watermark > parked.high_watermark;
            has_news || parked.deadline <= at.now
        };
        let due: Vec<_> = leading.parked.values().copied().filter(is_due).collect();
        leading.parked.retain(|_, parked| !is_due(parked));
        let wake_at = leading.parked.values().map(|parked| parked.deadline).min();
        for parked in due {
            self.answer_fetch(parked);
        }
        wake_at.unwrap_or(i64::MAX)
    }

    fn answer_fetch(&mut self, parked: Parked) {
        let high_watermark = self.high_watermark;
        let body = FetchResponse { high_watermark, ..FetchResponse::default() };
        let response = self.response(None, ResponseBody::Fetch(body));
        let request = parked.request;
        if parked.from < self.log.end_offset() && parked.from >= self.log.start_offset() {
            let read_from = parked.from;
            self.effects.push(Effect::AnswerRecords { request, response, read_from });
        } else {
            self.effects.push(Effect::Answer { request, response });
        }
    }
}

impl Leading {
    /// When the replica fetched last, or when this leadership began.
    pub(super) fn heard_at(&self, replica: Option<&Progress>) -> i64 {
        replica.map_or(self.since, |progress| progress.last_fetch_ms)
    }
}
