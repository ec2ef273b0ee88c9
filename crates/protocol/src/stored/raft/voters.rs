//! VotersRecord (versions 0, flexible from 0): the voters of the metadata quorum and how to reach
//! them (KIP-853).

use kalda_model::Uuid;

use crate::Message;

/// The voters of the metadata quorum and how to reach them (KIP-853).
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct VotersRecord {
    pub version: i16,
    pub voters: Vec<Voter>,
}

/// One of [`VotersRecord::voters`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Voter {
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub kraft_version_feature: KRaftVersionFeature,
}

/// One of [`Voter::endpoints`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// The value of [`Voter::kraft_version_feature`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct KRaftVersionFeature {
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}
