//! AlterClientQuotas (key 49, versions 0–1, flexible from 1): sets and removes client quotas
//! (KIP-546).
//!
//! - v1: flexible.

use crate::Message;

/// The changes by entity.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 49, versions = 0..=1, flexible = 1.., response = AlterClientQuotasResponse)]
pub struct AlterClientQuotasRequest {
    pub entries: Vec<RequestEntryData>,
    pub validate_only: bool,
}

/// One of [`AlterClientQuotasRequest::entries`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct RequestEntryData {
    pub entity: Vec<EntityData>,
    pub ops: Vec<OpData>,
}

/// One of [`RequestEntryData::entity`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct EntityData {
    pub entity_type: String,
    #[default(empty)]
    pub entity_name: Option<String>,
}

/// One of [`RequestEntryData::ops`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct OpData {
    pub key: String,
    pub value: f64,
    pub remove: bool,
}

/// The outcome per entity.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 1..)]
pub struct AlterClientQuotasResponse {
    pub throttle_time_ms: i32,
    pub entries: Vec<ResponseEntryData>,
}

/// One of [`AlterClientQuotasResponse::entries`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ResponseEntryData {
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub entity: Vec<EntityData>,
}
