//! What the nodes of a world are called, by their place in it.

use kalda_model::{BrokerId, DirectoryId};
use kalda_raft::quorum::{ReplicaKey, Voter, VoterEndpoint};

pub(crate) fn id(index: usize) -> BrokerId {
    BrokerId(i32::try_from(index).unwrap() + 1)
}

pub(crate) fn index_of(id: BrokerId) -> usize {
    usize::try_from(id.0 - 1).unwrap()
}

pub(crate) fn endpoint(index: usize) -> VoterEndpoint {
    let port = 9000 + u16::try_from(index).unwrap();
    VoterEndpoint { listener: "CONTROLLER".to_owned(), host: "localhost".to_owned(), port }
}

pub(crate) fn voter(index: usize, directory: Option<DirectoryId>) -> Voter {
    let key = ReplicaKey { id: id(index), directory };
    Voter { key, endpoints: Vec::new(), kraft_versions: (0, 1) }
}
