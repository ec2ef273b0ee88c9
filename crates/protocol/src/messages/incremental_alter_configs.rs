//! IncrementalAlterConfigs (key 44, versions 0–1, flexible from 1): sets, deletes, appends to or
//! subtracts from single configs (KIP-339).
//!
//! - v1: flexible.

use crate::Message;

/// The changes by resource.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 44, versions = 0..=1, flexible = 1.., response = IncrementalAlterConfigsResponse)]
pub struct IncrementalAlterConfigsRequest {
    pub resources: Vec<AlterConfigsResource>,
    pub validate_only: bool,
}

/// One of [`IncrementalAlterConfigsRequest::resources`].
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
    pub config_operation: i8,
    #[default(empty)]
    pub value: Option<String>,
}

/// The outcome per resource.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=1, flexible = 1..)]
pub struct IncrementalAlterConfigsResponse {
    pub throttle_time_ms: i32,
    pub responses: Vec<AlterConfigsResourceResponse>,
}

/// One of [`IncrementalAlterConfigsResponse::responses`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AlterConfigsResourceResponse {
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
}
