//! The `kraft.version` from 0 to 1 (KIP-853): static voters, known by their ids, become a record that names
//! their directories and endpoints.
//!
//! The leader learns both from the voters themselves, anew in each epoch: nothing of it is in the log.

use kalda_env::Rng;
use kalda_model::{BrokerId, Offset};

use super::effect::Effect;
use super::message::{Control, Refusal, Request};
use super::reconfiguration::RECONFIGURATION_VERSION;
use super::role::{PendingChange, Role};
use super::voters::{Voter, VoterSet};
use super::{Moment, Quorum};

/// Why the `kraft.version` stays what it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UpgradeRefused {
    /// Only the leader can raise it.
    #[error("Upgrade kraft version failed because the replica is not the current leader")]
    NotLeader,
    /// It never goes down.
    #[error(
        "Invalid upgrade of kraft.version from version {from} to {to} because the new version is a downgrade"
    )]
    Downgrade {
        /// What it is.
        from: i16,
        /// What it was to be.
        to: i16,
    },
    /// Voters that do not know it, or have not yet told this leader of themselves.
    #[error(
        "Invalid upgrade of kraft.version to {to} because not all of the voters support it: {missing:?} have not said that they do"
    )]
    NotSupported {
        /// What it was to be.
        to: i16,
        /// Their ids.
        missing: Vec<BrokerId>,
    },
    /// The leader is new, or another change of the voters is not committed yet.
    #[error("Unable to upgrade version for kraft.version to {0} due to changing voters")]
    Changing(i16),
}

impl Quorum {
    /// Whether the `kraft.version` can be raised to `version` now; `None` if there is nothing to do.
    ///
    /// # Errors
    /// Why not.
    pub fn plan_upgrade(&self, version: i16) -> Result<Option<VoterSet>, UpgradeRefused> {
        let Role::Leader(leading) = &self.role else { return Err(UpgradeRefused::NotLeader) };
        let from = self.log.kraft_version();
        if version == from {
            return Ok(None);
        }
        if version < from {
            return Err(UpgradeRefused::Downgrade { from, to: version });
        }
        let own = self.local_voter();
        let told = |id: BrokerId| {
            let voter = if id == self.local.id { Some(&own) } else { leading.announced.get(&id) };
            voter.filter(|voter| supports(voter, version) && !voter.endpoints.is_empty())
        };
        let ids: Vec<_> = self.log.voters().iter().map(|voter| voter.key.id).collect();
        let missing: Vec<_> = ids.iter().copied().filter(|id| told(*id).is_none()).collect();
        if !missing.is_empty() {
            return Err(UpgradeRefused::NotSupported { to: version, missing });
        }
        if !self.is_settled() {
            return Err(UpgradeRefused::Changing(version));
        }
        Ok(Some(VoterSet::new(ids.into_iter().filter_map(told).cloned())))
    }

    /// Raises the `kraft.version`, and names the voters in the same batch. Answers the end offset at
    /// which the high watermark must arrive before it holds for good, and what has to be done.
    ///
    /// # Errors
    /// As [`Quorum::plan_upgrade`].
    pub fn upgrade(
        &mut self,
        version: i16,
        now_ms: i64,
        rng: &dyn Rng,
    ) -> Result<(Offset, Vec<Effect>), UpgradeRefused> {
        if let Some(voters) = self.plan_upgrade(version)? {
            self.append_control(vec![Control::KRaftVersion(version), Control::Voters(voters)]);
            let end = self.log.end_offset();
            if let Role::Leader(leading) = &mut self.role {
                leading.change = Some(PendingChange { request: None, end });
            }
        }
        let end = self.log.end_offset();
        Ok((end, self.finish(Moment { now: now_ms, rng })))
    }

    /// A voter of a static set tells who it is.
    pub(super) fn note_voter(&mut self, voter: Voter) -> Result<(), Refusal> {
        if voter.key.directory.is_none() || !supports(&voter, self.log.kraft_version()) {
            return Err(Refusal::InvalidRequest);
        }
        if !self.log.voters().contains(&voter.key) {
            return Err(Refusal::VoterNotFound);
        }
        if let Role::Leader(leading) = &mut self.role {
            leading.announced.insert(voter.key.id, voter);
        }
        Ok(())
    }

    /// What a follower of a static set tells each new leader of itself.
    pub(super) fn own_announcement(&self) -> Option<Request> {
        let is_static = self.log.kraft_version() < RECONFIGURATION_VERSION;
        (is_static && self.is_voter())
            .then(|| Request::UpdateVoter { epoch: self.epoch(), voter: self.local_voter() })
    }

    /// The leader knows now; the next one does not.
    pub(super) fn on_announced(&mut self) {
        let is_static = self.log.kraft_version() < RECONFIGURATION_VERSION;
        if let Role::Follower(following) = &mut self.role
            && is_static
        {
            following.announce_at = i64::MAX;
        }
    }
}

fn supports(voter: &Voter, version: i16) -> bool {
    let (lowest, highest) = voter.kraft_versions;
    (lowest..=highest).contains(&version)
}
