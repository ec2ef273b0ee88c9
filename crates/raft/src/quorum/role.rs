//! What a replica is in its epoch, with what it must remember for it.

use std::collections::{BTreeMap, BTreeSet};

use kalda_model::{BrokerId, Offset};

use super::effect::RequestId;
use super::voters::{ReplicaKey, Voter, VoterSet};
use crate::snapshot::SnapshotId;

/// What a replica is, for whoever looks at it from outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RoleName {
    /// It knows no leader.
    Unattached,
    /// It asks whether it would win an election.
    Prospective,
    /// It asks for votes.
    Candidate,
    /// It follows the leader.
    Follower,
    /// It leads.
    Leader,
    /// It led this epoch and does no more.
    Resigned,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Role {
    Unattached { deadline: i64 },
    Prospective(Election),
    Candidate(Election),
    Follower(Following),
    Leader(Box<Leading>),
    Resigned { deadline: i64, unacked: BTreeSet<BrokerId>, successors: Vec<ReplicaKey> },
}

impl Role {
    pub(super) fn name(&self) -> RoleName {
        match self {
            Self::Unattached { .. } => RoleName::Unattached,
            Self::Prospective(_) => RoleName::Prospective,
            Self::Candidate(_) => RoleName::Candidate,
            Self::Follower(_) => RoleName::Follower,
            Self::Leader(_) => RoleName::Leader,
            Self::Resigned { .. } => RoleName::Resigned,
        }
    }
}

/// A count of votes, or of promises of votes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Election {
    pub(super) deadline: i64,
    pub(super) granted: BTreeSet<BrokerId>,
    pub(super) rejected: BTreeSet<BrokerId>,
}

impl Election {
    /// Only those who vote in the set that holds now count, whoever was asked.
    pub(super) fn is_won(&self, voters: &VoterSet) -> bool {
        let count = voters.iter().filter(|voter| self.granted.contains(&voter.key.id)).count();
        count >= voters.majority()
    }

    pub(super) fn is_lost(&self, voters: &VoterSet) -> bool {
        let against = voters.iter().filter(|voter| self.rejected.contains(&voter.key.id)).count();
        voters.len() - against < voters.majority()
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Following {
    pub(super) leader: BrokerId,
    /// The leader counts as dead then.
    pub(super) fetch_deadline: i64,
    /// The leader answered in this epoch and did not say goodbye: others who think it dead are
    /// wrong.
    pub(super) has_fetched: bool,
    /// The end of the log that the leader was told of last; what it answers is about that.
    pub(super) told: Option<Offset>,
    /// Where the leader's log ended at some time of a newcomer's life.
    pub(super) seen_end: Option<Offset>,
    /// A newcomer is none any more when its log is on its disk up to here.
    pub(super) complete_at: Option<Offset>,
    /// The leader is not told before how this voter differs from what the log says of it.
    pub(super) announce_at: i64,
    /// The snapshot that is being fetched, and how much of it is here; None at the end of it, when
    /// the shell installs it.
    pub(super) snapshot: Option<(SnapshotId, Option<u64>)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Leading {
    pub(super) epoch_start: Offset,
    pub(super) since: i64,
    /// Everyone who fetched in this epoch.
    pub(super) replicas: BTreeMap<ReplicaKey, Progress>,
    /// Fetches that wait for something to tell.
    pub(super) parked: BTreeMap<ReplicaKey, Parked>,
    /// What voters of a static set said of themselves in this epoch.
    pub(super) announced: BTreeMap<BrokerId, Voter>,
    /// A voter that is to be added once it has caught up.
    pub(super) adding: Option<PendingAdd>,
    /// The voter set that is not committed yet.
    pub(super) change: Option<PendingChange>,
    /// When each voter was last told who leads.
    pub(super) told_at: BTreeMap<BrokerId, i64>,
    /// It steps down as soon as it can.
    pub(super) resign_requested: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Progress {
    /// None while all it does is fetching a snapshot.
    pub(super) end: Option<Offset>,
    pub(super) last_fetch_ms: i64,
    pub(super) last_caught_up_ms: Option<i64>,
    /// The leader's end at the last fetch: who reaches it now was caught up then.
    pub(super) leader_end: Offset,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Parked {
    pub(super) request: RequestId,
    pub(super) from: Offset,
    pub(super) high_watermark: Offset,
    pub(super) deadline: i64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct PendingAdd {
    pub(super) request: RequestId,
    pub(super) voter: Voter,
    pub(super) deadline: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct PendingChange {
    /// Who waits for it; a voter that told of itself does not.
    pub(super) request: Option<RequestId>,
    /// Committed when the high watermark is here.
    pub(super) end: Offset,
}

impl Leading {
    /// A voter of a static set may come back with another directory: the newest one is it.
    pub(super) fn progress_of(&self, voter: &Voter) -> Option<&Progress> {
        self.newest(voter).map(|(_, progress)| progress)
    }

    /// The replica that is this voter now, with its directory.
    pub(super) fn key_of(&self, voter: &Voter) -> Option<&ReplicaKey> {
        self.newest(voter).map(|(key, _)| key)
    }

    fn newest(&self, voter: &Voter) -> Option<(&ReplicaKey, &Progress)> {
        let of_it = self.replicas.iter().filter(|(key, _)| voter.is(key));
        of_it.max_by_key(|(_, progress)| progress.last_fetch_ms)
    }
}
