//! ListConfigResources (key 74, versions 0–1, flexible from 0): lists resources that have configs,
//! such as client metrics (KIP-1000, KIP-1142).
//!
//! - v1: request adds `resource_types`; response adds `resource_type` (KIP-1142).

use crate::Message;

/// The types of resources wanted.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 74, versions = 0..=1, flexible = 0.., response = ListConfigResourcesResponse)]
pub struct ListConfigResourcesRequest {
    #[versions(1..)]
    pub resource_types: Vec<i8>,
}

/// The resources.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 0..)]
pub struct ListConfigResourcesResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub config_resources: Vec<ConfigResource>,
}

/// One of [`ListConfigResourcesResponse::config_resources`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct ConfigResource {
    pub resource_name: String,
    #[versions(1..)]
    #[default(16)]
    #[ignorable]
    pub resource_type: i8,
}
