//! AddRaftVoter (key 80, versions 0, flexible from 0): adds a voter to the metadata quorum
//! (KIP-853).

use kalda_model::Uuid;

use crate::Message;

/// The voter and its listeners.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 80, versions = 0..=0, flexible = 0.., response = AddRaftVoterResponse)]
pub struct AddRaftVoterRequest {
    #[default(empty)]
    pub cluster_id: Option<String>,
    pub timeout_ms: i32,
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
    pub listeners: Vec<Listener>,
}

/// One of [`AddRaftVoterRequest::listeners`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// An error code.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct AddRaftVoterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
