//! AlterConfigs (key 33, versions 0–2, flexible from 2): replaces all dynamic configs of a resource
//! (KIP-133); IncrementalAlterConfigs took its place.
//!
//! - v1: same layout; the broker answers before it throttles (KIP-219).
//! - v2: flexible.

use crate::Message;

/// The resources with all their configs.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 33, versions = 0..=2, flexible = 2.., response = AlterConfigsResponse)]
pub struct AlterConfigsRequest {
    pub resources: Vec<AlterConfigsResource>,
    pub validate_only: bool,
}

/// One of [`AlterConfigsRequest::resources`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterConfigsResource {
    pub resource_type: i8,
    pub resource_name: String,
    pub configs: Vec<AlterableConfig>,
}

/// One of [`AlterConfigsResource::configs`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterableConfig {
    pub name: String,
    #[default(empty)]
    pub value: Option<String>,
}

/// The outcome per resource.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 2..)]
pub struct AlterConfigsResponse {
    pub throttle_time_ms: i32,
    pub responses: Vec<AlterConfigsResourceResponse>,
}

/// One of [`AlterConfigsResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterConfigsResourceResponse {
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
}
