//! Who votes: replicas named by id and directory, and the set of them (KIP-853).
//!
//! A value; the log says which set holds. A disk that was wiped has another directory id and is
//! another replica, so it cannot vote on what it has forgotten.

use std::collections::BTreeMap;

use kalda_model::{BrokerId, DirectoryId};

/// A replica: a node, and the directory that holds its log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplicaKey {
    /// `node.id`.
    pub id: BrokerId,
    /// The directory's id. None in a static voter set (`kraft.version` 0): any directory will do.
    pub directory: Option<DirectoryId>,
}

/// Where a voter can be reached.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VoterEndpoint {
    /// The listener's name.
    pub listener: String,
    /// The host to dial.
    pub host: String,
    /// The port to dial.
    pub port: u16,
}

/// One voter as a Voters record names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Voter {
    /// Who it is.
    pub key: ReplicaKey,
    /// Its controller listeners.
    pub endpoints: Vec<VoterEndpoint>,
    /// The lowest and the highest `kraft.version` that it supports.
    pub kraft_versions: (i16, i16),
}

/// The voters of the quorum.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct VoterSet {
    voters: BTreeMap<BrokerId, Voter>,
}

impl VoterSet {
    /// The set of `voters`; of two with one id the later one stays.
    #[must_use]
    pub fn new(voters: impl IntoIterator<Item = Voter>) -> Self {
        Self { voters: voters.into_iter().map(|voter| (voter.key.id, voter)).collect() }
    }

    /// Whether `replica` is one of them. A voter of a static set is known by its id alone.
    #[must_use]
    pub fn contains(&self, replica: &ReplicaKey) -> bool {
        self.voters.get(&replica.id).is_some_and(|voter| voter.is(replica))
    }

    /// The voter with this id, whatever its directory.
    #[must_use]
    pub fn voter(&self, id: BrokerId) -> Option<&Voter> {
        self.voters.get(&id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.voters.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.voters.len()
    }

    /// Whether nobody votes: an observer that has not heard of the set yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// How many make a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// The set with one more voter; None if the id is taken.
    #[must_use]
    pub fn with(&self, voter: Voter) -> Option<Self> {
        let is_taken = self.voters.contains_key(&voter.key.id);
        (!is_taken).then(|| Self::new(self.iter().cloned().chain([voter])))
    }

    /// The set without `replica`; None if it is not exactly one of them.
    #[must_use]
    pub fn without(&self, replica: &ReplicaKey) -> Option<Self> {
        self.voters.get(&replica.id).filter(|voter| voter.key == *replica)?;
        Some(Self::new(self.iter().filter(|voter| voter.key != *replica).cloned()))
    }

    /// The set with a voter's new endpoints and versions; None if it is not exactly one of them.
    #[must_use]
    pub fn with_update(&self, voter: Voter) -> Option<Self> {
        self.voters.get(&voter.key.id).filter(|known| known.key == voter.key)?;
        Some(Self::new(self.iter().cloned().chain([voter])))
    }
}

impl Voter {
    /// Whether `replica` is this voter.
    #[must_use]
    pub fn is(&self, replica: &ReplicaKey) -> bool {
        let is_any = self.key.directory.is_none();
        self.key.id == replica.id && (is_any || self.key.directory == replica.directory)
    }
}
