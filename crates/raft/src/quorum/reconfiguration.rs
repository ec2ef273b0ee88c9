//! AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter (KIP-853): one change at a time, each a record.

use kalda_model::LeaderEpoch;

use super::effect::RequestId;
use super::message::{Control, Refusal, Request, ResponseBody};
use super::role::{PendingAdd, PendingChange, Role};
use super::voters::{ReplicaKey, Voter, VoterSet};
use super::{Moment, Quorum};

/// The longest time that a request to add a voter may take.
const ADD_MS_MAX: i64 = 3_600_000;
/// What this implementation supports.
const KRAFT_VERSIONS: (i16, i16) = (0, 1);
/// The `kraft.version` from which the voters are records.
pub(super) const RECONFIGURATION_VERSION: i16 = 1;

impl Quorum {
    /// Takes a new voter in as soon as it has caught up, or not at all.
    pub(super) fn on_add_voter(
        &mut self,
        id: RequestId,
        voter: Voter,
        timeout_ms: i64,
        at: Moment<'_>,
    ) {
        let refusal = match self.plan_add(&voter, at) {
            Ok(_) | Err(Refusal::RequestTimedOut) => None,
            Err(refusal) => Some(refusal),
        };
        match &mut self.role {
            Role::Leader(leading) if refusal.is_none() && leading.adding.is_none() => {
                let deadline = at.now.saturating_add(timeout_ms.clamp(0, ADD_MS_MAX));
                leading.adding = Some(PendingAdd { request: id, voter, deadline });
            }
            _ => {
                let refusal = refusal.unwrap_or(Refusal::RequestTimedOut);
                self.answer(id, Some(refusal), ResponseBody::Plain);
            }
        }
    }

    /// Answers when to look again at the voter that is to be added.
    pub(super) fn poll_add(&mut self, at: Moment<'_>) -> i64 {
        let Role::Leader(leading) = &self.role else { return i64::MAX };
        let Some(PendingAdd { request, voter, deadline }) = leading.adding.clone() else {
            return i64::MAX;
        };
        if !self.effects.is_empty() {
            // What was just committed was so by the majority of the old set: the new one begins after that.
            return at.now;
        }
        let plan = self.plan_add(&voter, at);
        if plan == Err(Refusal::RequestTimedOut) && at.now < deadline {
            return deadline;
        }
        if let Role::Leader(leading) = &mut self.role {
            leading.adding = None;
        }
        self.change_voters(request, plan);
        i64::MAX
    }

    /// The set with one more voter. What another time may cure is a time that ran out.
    fn plan_add(&self, voter: &Voter, at: Moment<'_>) -> Result<VoterSet, Refusal> {
        if !matches!(self.role, Role::Leader(_)) {
            return Err(Refusal::NotLeader);
        }
        let (lowest, highest) = voter.kraft_versions;
        let version = self.log.kraft_version();
        if version < RECONFIGURATION_VERSION {
            return Err(Refusal::UnsupportedVersion);
        }
        if voter.key.directory.is_none() || !(lowest..=highest).contains(&version) {
            return Err(Refusal::InvalidRequest);
        }
        let voters = self.log.voters().with(voter.clone()).ok_or(Refusal::DuplicateVoter)?;
        self.may_change_voters()?;
        if self.is_caught_up(&voter.key, at) { Ok(voters) } else { Err(Refusal::RequestTimedOut) }
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
        if self.log.kraft_version() < RECONFIGURATION_VERSION {
            let refusal = plan.and_then(|()| self.note_voter(voter)).err();
            return self.answer(id, refusal, ResponseBody::Plain);
        }
        let plan = plan.and_then(|()| self.may_change_voters()).and_then(|()| {
            let (lowest, highest) = voter.kraft_versions;
            if !(lowest..=highest).contains(&self.log.kraft_version()) {
                return Err(Refusal::InvalidRequest);
            }
            self.log.voters().with_update(voter).ok_or(Refusal::VoterNotFound)
        });
        // The voter does not wait for the commit: it takes its own fetches to commit that.
        self.answer(id, plan.as_ref().err().copied(), ResponseBody::Plain);
        if let Ok(voters) = plan
            && voters != *self.log.voters()
        {
            self.append_voters(voters, None);
        }
    }

    /// What a follower has to ask of its leader about itself: it is reached elsewhere than the log says, or
    /// wants to vote and does not.
    pub(super) fn own_change(&self) -> Option<Request> {
        let Role::Follower(following) = &self.role else { return None };
        let is_settled = following.has_fetched && following.snapshot.is_none();
        if !is_settled || self.settings.endpoints.is_empty() {
            return None;
        }
        if self.log.kraft_version() < RECONFIGURATION_VERSION {
            return self.own_announcement();
        }
        let voter = self.local_voter();
        match self.log.voters().voter(self.local.id) {
            Some(known) if known.key == self.local => {
                (*known != voter).then(|| Request::UpdateVoter { epoch: self.epoch(), voter })
            }
            _ if !self.settings.auto_join => None,
            // An earlier disk of this node, whose vote nobody has any more.
            Some(known) => Some(Request::RemoveVoter { voter: known.key }),
            None => {
                let timeout_ms = self.settings.request_timeout_ms / 4;
                Some(Request::AddVoter { voter, timeout_ms })
            }
        }
    }

    /// The voters with this node where it is reached now, if that is elsewhere than the log says.
    pub(super) fn voters_with_own_endpoints(&self) -> Option<VoterSet> {
        let is_recorded = self.log.kraft_version() >= RECONFIGURATION_VERSION;
        if !is_recorded || self.settings.endpoints.is_empty() {
            return None;
        }
        let voters = self.log.voters();
        voters.with_update(self.local_voter()).filter(|updated| updated != voters)
    }

    pub(super) fn local_voter(&self) -> Voter {
        Voter {
            key: self.local,
            endpoints: self.settings.endpoints.clone(),
            kraft_versions: KRAFT_VERSIONS,
        }
    }

    /// Majorities of two sets overlap only if they differ by one voter and the older one is
    /// committed by a leader of this epoch, who knows every set that may be.
    fn may_change_voters(&self) -> Result<(), Refusal> {
        if !matches!(self.role, Role::Leader(_)) {
            return Err(Refusal::NotLeader);
        }
        if self.log.kraft_version() < RECONFIGURATION_VERSION {
            return Err(Refusal::UnsupportedVersion);
        }
        if self.is_settled() { Ok(()) } else { Err(Refusal::RequestTimedOut) }
    }

    /// Whether the last change of the voters is committed, and so is a record of this leader's epoch.
    pub(super) fn is_settled(&self) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        let has_own_commit = self.high_watermark > leading.epoch_start;
        let is_committed = self.log.voters_end() <= self.high_watermark;
        has_own_commit && is_committed && leading.change.is_none() && !leading.resign_requested
    }

    /// It was at the end of the log a moment ago, and fetches on.
    fn is_caught_up(&self, replica: &ReplicaKey, at: Moment<'_>) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        let caught_up = leading.replicas.get(replica).and_then(|it| it.last_caught_up_ms);
        caught_up.is_some_and(|last| at.now - last <= self.settings.fetch_timeout_ms)
    }

    fn change_voters(&mut self, request: RequestId, plan: Result<VoterSet, Refusal>) {
        match plan {
            Err(refusal) => self.answer(request, Some(refusal), ResponseBody::Plain),
            Ok(voters) => self.append_voters(voters, Some(request)),
        }
    }

    fn append_voters(&mut self, voters: VoterSet, request: Option<RequestId>) {
        self.append_control(vec![Control::Voters(voters)]);
        let end = self.log.end_offset();
        if let Role::Leader(leading) = &mut self.role {
            leading.change = Some(PendingChange { request, end });
        }
    }
}
