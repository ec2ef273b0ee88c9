//! DescribeConfigs (key 32, versions 0–4, flexible from 4): shows configs of topics, brokers,
//! loggers, groups with their sources (KIP-133, KIP-226).
//!
//! Versions below 1 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! - v1: request adds `include_synonyms`; response adds `config_source`, `synonyms` and drops
//!   `is_default`.
//! - v2: same layout; the broker answers before it throttles (KIP-219).
//! - v3: request adds `include_documentation`; response adds `config_type`, `documentation`.
//! - v4: flexible.

use crate::Message;

/// The resources and, perhaps, the names of configs.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 32, versions = 0..=4, flexible = 4.., response = DescribeConfigsResponse)]
pub struct DescribeConfigsRequest {
    pub resources: Vec<DescribeConfigsResource>,
    #[versions(1..)]
    pub include_synonyms: bool,
    #[versions(3..)]
    pub include_documentation: bool,
}

/// One of [`DescribeConfigsRequest::resources`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeConfigsResource {
    pub resource_type: i8,
    pub resource_name: String,
    #[default(empty)]
    pub configuration_keys: Option<Vec<String>>,
}

/// The configs with value and source.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=4, flexible = 4..)]
pub struct DescribeConfigsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<DescribeConfigsResult>,
}

/// One of [`DescribeConfigsResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeConfigsResult {
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
    pub configs: Vec<DescribeConfigsResourceResult>,
}

/// One of [`DescribeConfigsResult::configs`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeConfigsResourceResult {
    pub name: String,
    #[default(empty)]
    pub value: Option<String>,
    pub read_only: bool,
    #[versions(0)]
    #[ignorable]
    pub is_default: bool,
    #[versions(1..)]
    #[default(-1)]
    #[ignorable]
    pub config_source: i8,
    pub is_sensitive: bool,
    #[versions(1..)]
    #[ignorable]
    pub synonyms: Vec<DescribeConfigsSynonym>,
    #[versions(3..)]
    #[ignorable]
    pub config_type: i8,
    #[versions(3..)]
    #[default(empty)]
    #[ignorable]
    pub documentation: Option<String>,
}

/// One of [`DescribeConfigsResourceResult::synonyms`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeConfigsSynonym {
    pub name: String,
    #[default(empty)]
    pub value: Option<String>,
    pub source: i8,
}
