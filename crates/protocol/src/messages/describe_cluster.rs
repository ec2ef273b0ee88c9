//! DescribeCluster (key 60, versions 0–2, flexible from 0): shows cluster id, controller and
//! brokers (KIP-700), or the controllers themselves (KIP-919).
//!
//! - v1: request adds `endpoint_type`; response adds `endpoint_type` (KIP-919).
//! - v2: request adds `include_fenced_brokers`; response adds `is_fenced` (KIP-1073).

use crate::Message;

/// What kind of endpoints, and whether with operations.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 60, versions = 0..=2, flexible = 0.., response = DescribeClusterResponse)]
pub struct DescribeClusterRequest {
    pub include_cluster_authorized_operations: bool,
    #[versions(1..)]
    #[default(1)]
    pub endpoint_type: i8,
    #[versions(2..)]
    pub include_fenced_brokers: bool,
}

/// The cluster and its nodes.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 0..)]
pub struct DescribeClusterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    #[versions(1..)]
    #[default(1)]
    pub endpoint_type: i8,
    pub cluster_id: String,
    #[default(-1)]
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker>,
    #[default(i32::MIN)]
    pub cluster_authorized_operations: i32,
}

/// One of [`DescribeClusterResponse::brokers`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct DescribeClusterBroker {
    pub broker_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    #[versions(2..)]
    pub is_fenced: bool,
}
