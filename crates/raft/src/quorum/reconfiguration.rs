//! AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter (KIP-853): one change at a time, each a record.

use kalda_model::LeaderEpoch;

use super::effect::RequestId;
use super::message::{Control, Refusal, ResponseBody};
use super::role::{PendingChange, Role};
use super::voters::{ReplicaKey, Voter, VoterSet};
use super::{Moment, Quorum};

/// A replica that did not fetch for so long is not let in: it would only make majorities rarer.
const CAUGHT_UP_MS_MAX: i64 = 3_600_000;
/// The `kraft.version` from which the voters are records.
const RECONFIGURATION_VERSION: i16 = 1;

impl Quorum {
    pub(super) fn on_add_voter(&mut self, id: RequestId, voter: Voter, at: Moment<'_>) {
        let plan = self.may_change_voters().and_then(|()| {
            let (lowest, highest) = voter.kraft_versions;
            let version = self.log.kraft_version();
            if !(lowest..=highest).contains(&version) {
                return Err(Refusal::UnsupportedVersion);
            }
            if voter.key.directory.is_none() {
                return Err(Refusal::InvalidRequest);
            }
            let voters = self.log.voters().with(voter.clone()).ok_or(Refusal::DuplicateVoter)?;
            if self.is_caught_up(&voter.key, at) {
                Ok(voters)
            } else {
                Err(Refusal::RequestTimedOut)
            }
        });
        self.change_voters(id, plan);
    }

    pub(super) fn on_remove_voter(&mut self, id: RequestId, voter: ReplicaKey, _at: Moment<'_>) {
        let plan = self.may_change_voters().and_then(|()| {
            let voters = self.log.voters().without(&voter).ok_or(Refusal::VoterNotFound)?;
            if voters.is_empty() { Err(Refusal::InvalidRequest) } else { Ok(voters) }
        });
        self.change_voters(id, plan);
    }

    pub(super) fn on_update_voter(
        &mut self,
        id: RequestId,
        epoch: LeaderEpoch,
        voter: Voter,
        _at: Moment<'_>,
    ) {
        let plan = self.leader_refusal(epoch).map_or(Ok(()), Err);
        let plan = plan.and_then(|()| self.may_change_voters()).and_then(|()| {
            let (lowest, highest) = voter.kraft_versions;
            if !(lowest..=highest).contains(&self.log.kraft_version()) {
                return Err(Refusal::UnsupportedVersion);
            }
            self.log.voters().with_update(voter).ok_or(Refusal::VoterNotFound)
        });
        self.change_voters(id, plan);
    }

    /// Majorities of two sets overlap only if they differ by one voter and the older one is
    /// committed by a leader of this epoch, who knows every set that may be.
    fn may_change_voters(&self) -> Result<(), Refusal> {
        let Role::Leader(leading) = &self.role else { return Err(Refusal::NotLeader) };
        if self.log.kraft_version() < RECONFIGURATION_VERSION {
            return Err(Refusal::UnsupportedVersion);
        }
        let has_own_commit = self.high_watermark > leading.epoch_start;
        let is_settled = self.log.voters_end() <= self.high_watermark;
        let is_free = has_own_commit && is_settled && leading.change.is_none();
        if is_free && !leading.resign_requested { Ok(()) } else { Err(Refusal::RequestTimedOut) }
    }

    fn is_caught_up(&self, replica: &ReplicaKey, at: Moment<'_>) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        leading.replicas.get(replica).is_some_and(|progress| {
            let is_recent = at.now - progress.last_fetch_ms <= CAUGHT_UP_MS_MAX;
            is_recent && progress.end.is_some_and(|end| end >= self.log.end_offset())
        })
    }

    fn change_voters(&mut self, request: RequestId, plan: Result<VoterSet, Refusal>) {
        match plan {
            Err(refusal) => self.answer(request, Some(refusal), ResponseBody::Plain),
            Ok(voters) => {
                self.append_control(vec![Control::Voters(voters)]);
                let end = self.log.end_offset();
                if let Role::Leader(leading) = &mut self.role {
                    leading.change = Some(PendingChange { request, end });
                }
            }
        }
    }
}
