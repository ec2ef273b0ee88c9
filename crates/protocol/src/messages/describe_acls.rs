//! DescribeAcls (key 29, versions 0–3, flexible from 2): lists the access rules that match a filter
//! (KIP-140).
//!
//! Versions below 1 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! - v1: request adds `pattern_type_filter`; response adds `pattern_type`.
//! - v2: flexible.
//! - v3: same layout; knows the resource type USER (KIP-373).

use crate::Message;

/// The filter.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 29, versions = 0..=3, flexible = 2.., response = DescribeAclsResponse)]
pub struct DescribeAclsRequest {
    pub resource_type_filter: i8,
    #[default(empty)]
    pub resource_name_filter: Option<String>,
    #[versions(1..)]
    #[default(3)]
    pub pattern_type_filter: i8,
    #[default(empty)]
    pub principal_filter: Option<String>,
    #[default(empty)]
    pub host_filter: Option<String>,
    pub operation: i8,
    pub permission_type: i8,
}

/// The rules by resource.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=3, flexible = 2..)]
pub struct DescribeAclsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub resources: Vec<DescribeAclsResource>,
}

/// One of [`DescribeAclsResponse::resources`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeAclsResource {
    pub resource_type: i8,
    pub resource_name: String,
    #[versions(1..)]
    #[default(3)]
    pub pattern_type: i8,
    pub acls: Vec<AclDescription>,
}

/// One of [`DescribeAclsResource::acls`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct AclDescription {
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}
