//! CreateAcls (key 30, versions 0–3, flexible from 2): creates access rules (KIP-140).
//!
//! Versions below 1 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! - v1: request adds `resource_pattern_type`.
//! - v2: flexible.
//! - v3: same layout; knows the resource type USER (KIP-373).

use crate::Message;

/// The rules to create.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 30, versions = 0..=3, flexible = 2.., response = CreateAclsResponse)]
pub struct CreateAclsRequest {
    pub creations: Vec<AclCreation>,
}

/// One of [`CreateAclsRequest::creations`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AclCreation {
    pub resource_type: i8,
    pub resource_name: String,
    #[versions(1..)]
    #[default(3)]
    pub resource_pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}

/// The outcome per rule.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=3, flexible = 2..)]
pub struct CreateAclsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<AclCreationResult>,
}

/// One of [`CreateAclsResponse::results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AclCreationResult {
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
}
