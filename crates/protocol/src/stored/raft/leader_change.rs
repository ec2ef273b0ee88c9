//! LeaderChangeMessage (versions 0–1, flexible from 0): who leads the epoch that this record opens
//! (KIP-595).
//!
//! - v1: adds `voter_directory_id` (KIP-853).

use kalda_model::Uuid;

use crate::Message;

/// Who leads the epoch that this record opens (KIP-595).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 0..)]
pub struct LeaderChangeMessage {
    pub version: i16,
    pub leader_id: i32,
    pub voters: Vec<Voter>,
    pub granting_voters: Vec<Voter>,
}

/// One of [`LeaderChangeMessage::voters`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Voter {
    pub voter_id: i32,
    #[versions(1..)]
    pub voter_directory_id: Uuid,
}
