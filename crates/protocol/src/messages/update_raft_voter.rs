//! UpdateRaftVoter (key 82, versions 0, flexible from 0): updates listeners and versions of a
//! voter; sent by the voter itself (KIP-853).

use kalda_model::Uuid;

use crate::Message;

/// The voter as it is now.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 82, versions = 0..=0, flexible = 0.., response = UpdateRaftVoterResponse)]
pub struct UpdateRaftVoterRequest {
    #[default(empty)]
    pub cluster_id: Option<String>,
    pub current_leader_epoch: i32,
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
    pub listeners: Vec<Listener>,
    pub kraft_version_feature: KRaftVersionFeature,
}

/// One of [`UpdateRaftVoterRequest::listeners`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// The value of [`UpdateRaftVoterRequest::kraft_version_feature`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct KRaftVersionFeature {
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}

/// An error code.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct UpdateRaftVoterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[tag(0)]
    pub current_leader: CurrentLeader,
}

/// The value of [`UpdateRaftVoterResponse::current_leader`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CurrentLeader {
    #[default(-1)]
    pub leader_id: i32,
    #[default(-1)]
    pub leader_epoch: i32,
    pub host: String,
    pub port: i32,
}
