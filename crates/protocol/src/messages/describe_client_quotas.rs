//! DescribeClientQuotas (key 48, versions 0–1, flexible from 1): lists client quotas that match a
//! filter (KIP-546).
//!
//! - v1: flexible.

use crate::Message;

/// The filter.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 48, versions = 0..=1, flexible = 1.., response = DescribeClientQuotasResponse)]
pub struct DescribeClientQuotasRequest {
    pub components: Vec<ComponentData>,
    pub strict: bool,
}

/// One of [`DescribeClientQuotasRequest::components`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ComponentData {
    pub entity_type: String,
    pub match_type: i8,
    #[default(empty)]
    pub r#match: Option<String>,
}

/// The quotas by entity.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 1..)]
pub struct DescribeClientQuotasResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    #[default(empty)]
    pub entries: Option<Vec<EntryData>>,
}

/// One of [`DescribeClientQuotasResponse::entries`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct EntryData {
    pub entity: Vec<EntityData>,
    pub values: Vec<ValueData>,
}

/// One of [`EntryData::entity`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct EntityData {
    pub entity_type: String,
    #[default(empty)]
    pub entity_name: Option<String>,
}

/// One of [`EntryData::values`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ValueData {
    pub key: String,
    pub value: f64,
}
