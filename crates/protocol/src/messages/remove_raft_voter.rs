//! RemoveRaftVoter (key 81, versions 0, flexible from 0): removes a voter from the metadata quorum
//! (KIP-853).

use kalda_model::Uuid;

use crate::Message;

/// The voter to remove.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 81, versions = 0..=0, flexible = 0.., response = RemoveRaftVoterResponse)]
pub struct RemoveRaftVoterRequest {
    #[default(empty)]
    pub cluster_id: Option<String>,
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
}

/// An error code.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct RemoveRaftVoterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
