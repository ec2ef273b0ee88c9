//! Refusals as error codes, and what else all messages of the quorum have in common.

use kalda_client::HostPort;
use kalda_model::{BrokerId, CLUSTER_METADATA_TOPIC};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::{begin_quorum_epoch, fetch_snapshot, vote};
use kalda_raft::quorum::Refusal;

use crate::broker::Broker;
use crate::peer::PeerError;

/// The only topic of the quorum.
pub(super) const TOPIC: &str = CLUSTER_METADATA_TOPIC;

/// The wire's word for a refusal.
pub(crate) fn code(refusal: Option<Refusal>) -> ErrorCode {
    match refusal {
        None => ErrorCode::None,
        Some(Refusal::FencedLeaderEpoch) => ErrorCode::FencedLeaderEpoch,
        Some(Refusal::UnknownLeaderEpoch) => ErrorCode::UnknownLeaderEpoch,
        Some(Refusal::NotLeader) => ErrorCode::NotLeaderOrFollower,
        Some(Refusal::InvalidRequest) => ErrorCode::InvalidRequest,
        Some(Refusal::InvalidVoterKey) => ErrorCode::InvalidVoterKey,
        Some(Refusal::SnapshotNotFound) => ErrorCode::SnapshotNotFound,
        Some(Refusal::PositionOutOfRange) => ErrorCode::PositionOutOfRange,
        Some(Refusal::RequestTimedOut) => ErrorCode::RequestTimedOut,
        Some(Refusal::DuplicateVoter) => ErrorCode::DuplicateVoter,
        Some(Refusal::VoterNotFound) => ErrorCode::VoterNotFound,
        Some(Refusal::UnsupportedVersion) => ErrorCode::UnsupportedVersion,
    }
}

/// What an error code of another replica means to the quorum.
///
/// # Errors
/// It is none that a replica gives: this one must not act on the answer.
pub(super) fn refusal(code: i16) -> Result<Option<Refusal>, PeerError> {
    Ok(Some(match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => return Ok(None),
        Some(ErrorCode::FencedLeaderEpoch) => Refusal::FencedLeaderEpoch,
        Some(ErrorCode::UnknownLeaderEpoch) => Refusal::UnknownLeaderEpoch,
        Some(ErrorCode::NotLeaderOrFollower | ErrorCode::BrokerNotAvailable) => Refusal::NotLeader,
        Some(ErrorCode::InvalidVoterKey) => Refusal::InvalidVoterKey,
        Some(ErrorCode::SnapshotNotFound) => Refusal::SnapshotNotFound,
        Some(ErrorCode::PositionOutOfRange) => Refusal::PositionOutOfRange,
        Some(ErrorCode::InvalidRequest) => Refusal::InvalidRequest,
        other => {
            let error = other.unwrap_or(ErrorCode::UnknownServerError);
            let message = error.message().to_owned();
            return Err(PeerError::Client(kalda_client::Error::Api { code: error, message }));
        }
    }))
}

/// Whether a request names this cluster, or none.
pub(crate) fn check_cluster(broker: &Broker, named: Option<&String>) -> Result<(), ErrorCode> {
    match named {
        Some(id) if *id != broker.cluster_id => Err(ErrorCode::InconsistentClusterId),
        _ => Ok(()),
    }
}

/// A node's address in any of the messages that have one.
pub(super) trait NodeAddress {
    fn address(&self) -> (BrokerId, HostPort);
}

macro_rules! node_addresses {
    ($($message:ident),*) => {
        $(impl NodeAddress for $message::NodeEndpoint {
            fn address(&self) -> (BrokerId, HostPort) {
                let (host, port) = (self.host.clone(), self.port);
                (BrokerId(self.node_id), HostPort { host, port })
            }
        })*
    };
}

node_addresses!(vote, begin_quorum_epoch, fetch_snapshot);

pub(super) fn endpoints(nodes: &[impl NodeAddress]) -> Vec<(BrokerId, HostPort)> {
    nodes.iter().map(NodeAddress::address).collect()
}
