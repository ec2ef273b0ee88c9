//! `quorum-state`: the epoch, the vote and the leader, in one file that is replaced atomically.
//!
//! A vote that could be forgotten could be given twice, so the file is synced before any message or
//! record reveals what it says. JSON, `data_version` 1; version 0 is read.

use std::path::Path;

use kalda_env::Disk;
use kalda_model::{BrokerId, DirectoryId, LeaderEpoch};
use serde::{Deserialize, Serialize};

const FILE: &str = "quorum-state";
const VERSION: i16 = 1;

/// What this voter knows of the newest election.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QuorumState {
    /// The newest epoch heard of.
    pub epoch: LeaderEpoch,
    /// Its leader, if known.
    pub leader: Option<BrokerId>,
    /// Whom this voter voted for in it.
    pub voted: Option<(BrokerId, DirectoryId)>,
    /// It began with an empty disk, and that has not been known to be complete yet.
    pub is_newcomer: bool,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QuorumStateError {
    /// The disk failed.
    #[error("{0}: {1}")]
    Disk(String, std::io::Error),
    /// It is not what this version writes or reads.
    #[error("{0} is not a quorum-state file of version 0 or 1: {1}")]
    Malformed(String, String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    leader_id: i32,
    leader_epoch: i32,
    voted_id: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voted_directory_id: Option<String>,
    /// Not Kafka's, who passes it over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_newcomer: bool,
    #[serde(rename = "data_version")]
    data_version: i16,
}

impl QuorumState {
    /// Reads the file in `dir`; before the first election there is none.
    ///
    /// # Errors
    /// The disk failed, or the file is damaged: the process must not vote on a guess.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, QuorumStateError> {
        let path = dir.join(FILE);
        let shown = path.display().to_string();
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(QuorumStateError::Disk(shown, error)),
        };
        let malformed = |reason: String| QuorumStateError::Malformed(shown.clone(), reason);
        let json: Json =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if !(0..=VERSION).contains(&json.data_version) {
            return Err(malformed(format!("data_version {}", json.data_version)));
        }
        let directory = match json.voted_directory_id.as_deref() {
            Some(id) => id.parse().map_err(|_| malformed(format!("votedDirectoryId {id}")))?,
            None => DirectoryId::ZERO,
        };
        let known = |id: i32| (id >= 0).then_some(BrokerId(id));
        Ok(Some(Self {
            epoch: LeaderEpoch(json.leader_epoch),
            leader: known(json.leader_id),
            voted: known(json.voted_id).map(|id| (id, directory)),
            is_newcomer: json.is_newcomer,
        }))
    }

    /// Replaces the file in `dir`, durably.
    ///
    /// # Errors
    /// The disk failed.
    pub fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), QuorumStateError> {
        let path = dir.join(FILE);
        let json = Json {
            leader_id: self.leader.unwrap_or(BrokerId::NONE).0,
            leader_epoch: self.epoch.0,
            voted_id: self.voted.map_or(BrokerId::NONE.0, |(id, _)| id.0),
            voted_directory_id: Some(
                self.voted.map_or(DirectoryId::ZERO, |(_, directory)| directory).to_string(),
            ),
            is_newcomer: self.is_newcomer,
            data_version: VERSION,
        };
        let text = serde_json::to_vec(&json).expect("numbers and an id are JSON");
        disk.replace(&path, &text)
            .map_err(|error| QuorumStateError::Disk(path.display().to_string(), error))
    }
}

#[cfg(test)]
mod tests {
    use kalda_env::FsDisk;

    use super::*;

    #[test]
    fn what_is_stored_is_loaded_and_what_kafka_wrote_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(QuorumState::load(&FsDisk, dir.path()).unwrap(), None);
        let state = QuorumState {
            epoch: LeaderEpoch(7),
            leader: Some(BrokerId(1)),
            voted: Some((BrokerId(1), DirectoryId::from_bytes([5; 16]))),
            is_newcomer: true,
        };
        state.store(&FsDisk, dir.path()).unwrap();
        assert_eq!(QuorumState::load(&FsDisk, dir.path()).unwrap(), Some(state));
        let kafka = r#"{"clusterId":"","leaderId":2,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":2}],"data_version":0}"#;
        std::fs::write(dir.path().join(FILE), kafka).unwrap();
        let loaded = QuorumState::load(&FsDisk, dir.path()).unwrap().unwrap();
        assert_eq!((loaded.epoch, loaded.leader), (LeaderEpoch(3), Some(BrokerId(2))));
        assert_eq!(loaded.voted, None);
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(QuorumState::load(&FsDisk, dir.path()).is_err());
    }
}
