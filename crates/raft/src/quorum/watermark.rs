//! The leader's own work: what a majority has on its disks, and whether a majority still listens.

use kalda_model::{BrokerId, Offset};

use super::effect::{Effect, ReplicaProgress};
use super::message::ResponseBody;
use super::role::Role;
use super::voters::ReplicaKey;
use super::{Moment, Quorum};

impl Quorum {
    /// Commits what a majority of the voters has on disk, this node counted only if it votes.
    pub(super) fn advance_high_watermark(&mut self, at: Moment<'_>) {
        let Role::Leader(leading) = &self.role else { return };
        let voters = self.log.voters();
        let end_of = |voter: &super::voters::Voter| {
            if voter.is(&self.local) {
                self.log.flushed_offset()
            } else {
                let progress = leading.progress_of(voter);
                progress.and_then(|progress| progress.end).unwrap_or(Offset::ZERO)
            }
        };
        let mut ends: Vec<Offset> = voters.iter().map(end_of).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let majority = ends.get(voters.majority() - 1).copied().unwrap_or(Offset::ZERO);
        // Without a committed record of its own epoch, another leader may still overwrite what
        // earlier ones wrote. After a change of voters the majority may have less than before.
        if majority > leading.epoch_start && majority > self.high_watermark {
            self.high_watermark = majority;
            self.effects.push(Effect::HighWatermark(majority));
            self.on_voters_committed();
            self.answer_parked(at);
        }
    }

    fn on_voters_committed(&mut self) {
        let high_watermark = self.high_watermark;
        let is_removed = !self.is_voter() && self.log.voters_end() <= high_watermark;
        let Role::Leader(leading) = &mut self.role else { return };
        leading.resign_requested |= is_removed;
        let done = leading.change.take_if(|change| change.end <= high_watermark);
        if let Some(request) = done.and_then(|change| change.request) {
            self.answer(request, None, ResponseBody::Plain);
        }
    }

    pub(super) fn poll_leader(&mut self, at: Moment<'_>) -> i64 {
        let check_at = self.check_quorum_at();
        let Role::Leader(leading) = &self.role else { return i64::MAX };
        if leading.resign_requested || check_at <= at.now {
            self.become_resigned(at);
            return at.now;
        }
        let added = self.poll_add(at);
        let parked = self.answer_parked(at);
        check_at.min(added).min(parked).min(self.send_begin_quorum_epoch(at))
    }

    /// When this node has to step down if nobody fetches any more.
    fn check_quorum_at(&self) -> i64 {
        let Role::Leader(leading) = &self.role else { return i64::MAX };
        let voters = self.log.voters();
        let needed = voters.majority() - usize::from(self.is_voter());
        let others = voters.iter().filter(|voter| !voter.is(&self.local));
        let mut heard: Vec<i64> =
            others.map(|voter| leading.heard_at(leading.progress_of(voter))).collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        match needed.checked_sub(1).and_then(|last| heard.get(last)) {
            Some(heard_at) => heard_at.max(&leading.since) + self.settings.check_quorum_ms(),
            None => i64::MAX,
        }
    }

    /// The other voters, those with the longest logs first.
    pub(super) fn voters_by_end_offset(&self) -> Vec<ReplicaKey> {
        let Role::Leader(leading) = &self.role else { return Vec::new() };
        let end_of = |voter: &super::voters::Voter| {
            leading.progress_of(voter).and_then(|progress| progress.end).unwrap_or(Offset(-1))
        };
        let others = self.log.voters().iter().filter(|voter| !voter.is(&self.local));
        let mut ends: Vec<_> = others.map(|voter| (end_of(voter), voter.key)).collect();
        ends.sort_by(|(a, _), (b, _)| b.cmp(a));
        ends.into_iter().map(|(_, key)| key).collect()
    }

    /// How far each replica is, as far as this leader knows; nothing if it does not lead.
    #[must_use]
    pub fn describe(&self) -> Vec<ReplicaProgress> {
        let Role::Leader(leading) = &self.role else { return Vec::new() };
        let of = |replica: ReplicaKey, is_voter| {
            let progress = leading.replicas.get(&replica);
            let is_local = replica.id == self.local.id;
            let own_end = is_local.then(|| self.log.end_offset());
            ReplicaProgress {
                replica,
                is_voter,
                end_offset: own_end.or(progress.and_then(|it| it.end)),
                last_fetch_ms: progress.map(|it| it.last_fetch_ms),
                last_caught_up_ms: progress.and_then(|it| it.last_caught_up_ms),
            }
        };
        let voters = self.log.voters();
        let keys = voters.iter().map(|voter| {
            if voter.is(&self.local) {
                return self.local;
            }
            let fetching = leading.key_of(voter);
            *fetching.unwrap_or(&voter.key)
        });
        let nameless = |key: &&ReplicaKey| key.id == BrokerId::NONE;
        let observers =
            leading.replicas.keys().filter(|key| !voters.contains(key) && !nameless(key));
        keys.map(|key| of(key, true)).chain(observers.map(|key| of(*key, false))).collect()
    }
}
