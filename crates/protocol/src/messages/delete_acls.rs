//! DeleteAcls (key 31, versions 0–3, flexible from 2): deletes the access rules that match filters
//! (KIP-140).
//!
//! Versions below 1 left Kafka in 4.0 and stay here for clients that still send them.
//!
//! - v1: request adds `pattern_type_filter`; response adds `pattern_type`.
//! - v2: flexible.
//! - v3: same layout; knows the resource type USER (KIP-373).

use crate::Message;

/// The filters.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 31, versions = 0..=3, flexible = 2.., response = DeleteAclsResponse)]
pub struct DeleteAclsRequest {
    pub filters: Vec<DeleteAclsFilter>,
}

/// One of [`DeleteAclsRequest::filters`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteAclsFilter {
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

/// The rules deleted, by filter.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=3, flexible = 2..)]
pub struct DeleteAclsResponse {
    pub throttle_time_ms: i32,
    pub filter_results: Vec<DeleteAclsFilterResult>,
}

/// One of [`DeleteAclsResponse::filter_results`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteAclsFilterResult {
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub matching_acls: Vec<DeleteAclsMatchingAcl>,
}

/// One of [`DeleteAclsFilterResult::matching_acls`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DeleteAclsMatchingAcl {
    pub error_code: i16,
    #[default(empty)]
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
    #[versions(1..)]
    #[default(3)]
    pub pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}
