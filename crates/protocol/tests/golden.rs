//! Bytes spelled out by hand, where the oracle has no version or the layout bites: the legacy
//! versions, ApiVersions, tagged fields, and the rules of what a version cannot carry.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use kalda_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirsRequest,
};
use kalda_protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, SupportedFeatureKey,
};
use kalda_protocol::messages::create_acls::{AclCreation, CreateAclsRequest};
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use kalda_protocol::messages::delete_acls::{
    DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsRequest,
    DeleteAclsResponse,
};
use kalda_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use kalda_protocol::messages::describe_acls::{
    DescribeAclsRequest, DescribeAclsResource, DescribeAclsResponse,
};
use kalda_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult,
};
use kalda_protocol::messages::describe_log_dirs::DescribeLogDirsRequest;
use kalda_protocol::messages::fetch::{FetchRequest, ReplicaState};
use kalda_protocol::messages::find_coordinator::FindCoordinatorRequest;
use kalda_protocol::messages::join_group::JoinGroupResponse;
use kalda_protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use kalda_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kalda_protocol::{DecodeError, EncodeError, Message};

/// Asserts that `message` in `version` is exactly `parts`, and `parts` is exactly `message`.
fn assert_bytes<M: Message + PartialEq + std::fmt::Debug>(
    message: &M,
    version: i16,
    parts: &[&[u8]],
) {
    let expected = parts.concat();
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap();
    assert_eq!(bytes[..], expected[..], "encoding v{version} of {message:?}");
    assert_eq!(message.size(version), expected.len());
    let mut input = Bytes::from(expected);
    assert_eq!(M::decode(&mut input, version).as_ref(), Ok(message));
    assert!(input.is_empty());
}

#[test]
fn offset_commit_v1_has_a_timestamp_and_no_retention() {
    let partition = OffsetCommitRequestPartition {
        partition_index: 2,
        committed_offset: 7,
        commit_timestamp: -1,
        committed_metadata: Some("m".to_owned()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "t".to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: 5,
        member_id: "a".to_owned(),
        topics: vec![topic],
        ..Default::default()
    };
    let head: &[&[u8]] = &[&[0, 1, b'g'], &[0, 0, 0, 5], &[0, 1, b'a']];
    let topic: &[&[u8]] =
        &[&[0, 0, 0, 1, 0, 1, b't'], &[0, 0, 0, 1, 0, 0, 0, 2], &[0, 0, 0, 0, 0, 0, 0, 7]];
    let metadata: &[u8] = &[0, 1, b'm'];
    assert_bytes(&request, 1, &[head, topic, &[&[0xff; 8], metadata]].concat());
    assert_bytes(&request, 2, &[head, &[&[0xff; 8]], topic, &[metadata]].concat());

    let partition = OffsetCommitResponsePartition { partition_index: 2, error_code: 22 };
    let topic = OffsetCommitResponseTopic {
        name: "t".to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let response = OffsetCommitResponse { topics: vec![topic], ..Default::default() };
    let bytes: &[u8] = &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 2, 0, 22];
    assert_bytes(&response, 1, &[bytes]);
    assert_bytes(&response, 2, &[bytes]);
}

#[test]
fn create_topics_v0_and_v1() {
    let topic = CreatableTopic {
        name: "t".to_owned(),
        num_partitions: 3,
        replication_factor: 1,
        ..Default::default()
    };
    let mut request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 9, ..Default::default() };
    let body: &[u8] = &[
        0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, // the topic
        0, 0, 0, 9,
    ];
    assert_bytes(&request, 0, &[body]);
    request.validate_only = true;
    assert_bytes(&request, 1, &[body, &[1]]);
    let absent = EncodeError::FieldAbsent {
        message: "CreateTopicsRequest",
        field: "validate_only",
        version: 0,
    };
    assert_eq!(request.encode(&mut BytesMut::new(), 0), Err(absent));

    let topic = CreatableTopicResult {
        name: "t".to_owned(),
        error_code: 36,
        error_message: Some(String::new()),
        ..Default::default()
    };
    let response = CreateTopicsResponse { topics: vec![topic], ..Default::default() };
    let body: &[u8] = &[0, 0, 0, 1, 0, 1, b't', 0, 36];
    assert_bytes(&response, 0, &[body]);
    assert_bytes(&response, 1, &[body, &[0, 0]]);
    assert_bytes(&response, 2, &[&[0, 0, 0, 0], body, &[0, 0]]);
}

#[test]
fn delete_topics_v0() {
    let request = DeleteTopicsRequest {
        topic_names: vec!["t".to_owned()],
        timeout_ms: 9,
        ..Default::default()
    };
    assert_bytes(&request, 0, &[&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 9]]);
    let topic =
        DeletableTopicResult { name: Some("t".to_owned()), error_code: 3, ..Default::default() };
    let response = DeleteTopicsResponse { responses: vec![topic], ..Default::default() };
    let body: &[u8] = &[0, 0, 0, 1, 0, 1, b't', 0, 3];
    assert_bytes(&response, 0, &[body]);
    assert_bytes(&response, 1, &[&[0, 0, 0, 0], body]);
}

#[test]
fn describe_configs_v0_says_only_whether_a_value_is_the_default() {
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: "t".to_owned(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let body: &[u8] = &[0, 0, 0, 1, 2, 0, 1, b't', 255, 255, 255, 255];
    assert_bytes(&request, 0, &[body]);
    assert_bytes(&request, 1, &[body, &[0]]);

    let config = DescribeConfigsResourceResult {
        name: "c".to_owned(),
        value: None,
        read_only: true,
        is_default: true,
        ..Default::default()
    };
    let result = DescribeConfigsResult {
        error_message: None,
        resource_type: 2,
        resource_name: "t".to_owned(),
        configs: vec![config],
        ..Default::default()
    };
    let mut response = DescribeConfigsResponse { results: vec![result], ..Default::default() };
    let head: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 255, 255, 2, 0, 1, b't', 0, 0, 0, 1];
    let config: &[u8] = &[0, 1, b'c', 255, 255, 1];
    assert_bytes(&response, 0, &[head, config, &[1, 0]]);
    let read = &mut response.results[0].configs[0];
    (read.is_default, read.config_source) = (false, 5);
    assert_bytes(&response, 1, &[head, config, &[5, 0, 0, 0, 0, 0]]);
}

#[test]
fn acls_v0_know_only_literal_patterns() {
    let mut creation = AclCreation {
        resource_type: 2,
        resource_name: "r".to_owned(),
        principal: "p".to_owned(),
        host: "*".to_owned(),
        operation: 3,
        permission_type: 4,
        ..Default::default()
    };
    let request = CreateAclsRequest { creations: vec![creation.clone()] };
    let (head, tail): (&[u8], &[u8]) =
        (&[0, 0, 0, 1, 2, 0, 1, b'r'], &[0, 1, b'p', 0, 1, b'*', 3, 4]);
    assert_bytes(&request, 0, &[head, tail]);
    assert_bytes(&request, 1, &[head, &[3], tail]);
    creation.resource_pattern_type = 4;
    let prefixed = CreateAclsRequest { creations: vec![creation] };
    assert!(prefixed.encode(&mut BytesMut::new(), 0).is_err());

    let describe = DescribeAclsRequest {
        resource_type_filter: 1,
        resource_name_filter: None,
        principal_filter: None,
        host_filter: None,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    assert_bytes(&describe, 0, &[&[1, 255, 255, 255, 255, 255, 255, 1, 1]]);
    assert_bytes(&describe, 1, &[&[1, 255, 255, 3, 255, 255, 255, 255, 1, 1]]);
    let resource = DescribeAclsResource {
        resource_type: 2,
        resource_name: "r".to_owned(),
        ..Default::default()
    };
    let described = DescribeAclsResponse {
        error_message: None,
        resources: vec![resource],
        ..Default::default()
    };
    let head: &[u8] = &[0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 1, 2, 0, 1, b'r'];
    assert_bytes(&described, 0, &[head, &[0, 0, 0, 0]]);
    assert_bytes(&described, 1, &[head, &[3], &[0, 0, 0, 0]]);

    let filter = DeleteAclsFilter {
        resource_type_filter: 1,
        resource_name_filter: None,
        principal_filter: None,
        host_filter: None,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    let delete = DeleteAclsRequest { filters: vec![filter] };
    assert_bytes(&delete, 0, &[&[0, 0, 0, 1, 1, 255, 255, 255, 255, 255, 255, 1, 1]]);
    let matching = DeleteAclsMatchingAcl {
        error_message: None,
        resource_type: 2,
        resource_name: "r".to_owned(),
        principal: "p".to_owned(),
        host: "*".to_owned(),
        operation: 3,
        permission_type: 4,
        ..Default::default()
    };
    let result = DeleteAclsFilterResult {
        error_message: None,
        matching_acls: vec![matching],
        ..Default::default()
    };
    let deleted = DeleteAclsResponse { filter_results: vec![result], ..Default::default() };
    let head: &[u8] =
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 255, 255, 0, 0, 0, 1, 0, 0, 255, 255, 2, 0, 1, b'r'];
    assert_bytes(&deleted, 0, &[head, tail]);
    assert_bytes(&deleted, 1, &[head, &[3], tail]);
}

#[test]
fn log_dirs_v0_are_as_v1() {
    let describe = DescribeLogDirsRequest { topics: None };
    assert_bytes(&describe, 0, &[&[255; 4]]);
    assert_bytes(&describe, 1, &[&[255; 4]]);
    let dir = AlterReplicaLogDir { path: "/d".to_owned(), topics: Vec::new() };
    let alter = AlterReplicaLogDirsRequest { dirs: vec![dir] };
    for version in [0, 1] {
        assert_bytes(&alter, version, &[&[0, 0, 0, 1, 0, 2, b'/', b'd', 0, 0, 0, 0]]);
    }
}

#[test]
fn api_versions_in_every_form() {
    assert_bytes(&ApiVersionsRequest::default(), 0, &[]);
    let request = ApiVersionsRequest {
        client_software_name: "k".to_owned(),
        client_software_version: "1".to_owned(),
    };
    assert_bytes(&request, 3, &[&[2, b'k', 2, b'1', 0]]);

    let metadata = ApiVersion { api_key: 3, min_version: 0, max_version: 13 };
    let response = ApiVersionsResponse { api_keys: vec![metadata], ..Default::default() };
    assert_bytes(&response, 0, &[&[0, 0], &[0, 0, 0, 1], &[0, 3, 0, 0, 0, 13]]);
    assert_bytes(&response, 1, &[&[0, 0], &[0, 0, 0, 1], &[0, 3, 0, 0, 0, 13], &[0; 4]]);
    assert_bytes(&response, 3, &[&[0, 0], &[2], &[0, 3, 0, 0, 0, 13, 0], &[0; 4], &[0]]);

    let feature = SupportedFeatureKey {
        name: "transaction.version".to_owned(),
        min_version: 0,
        max_version: 2,
    };
    let featured = ApiVersionsResponse {
        supported_features: vec![feature],
        finalized_features_epoch: 7,
        ..Default::default()
    };
    let tags: &[&[u8]] = &[
        &[0, 0, 1, 0, 0, 0, 0],
        &[2],
        &[0, 26, 2, 20],
        b"transaction.version",
        &[0, 0, 0, 2, 0],
        &[1, 8, 0, 0, 0, 0, 0, 0, 0, 7],
    ];
    assert_bytes(&featured, 4, tags);
}

#[test]
fn null_means_what_the_version_says() {
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_bytes(&all, 1, &[&[255; 4]]);
    let null = EncodeError::Null { message: "MetadataRequest", field: "topics", version: 0 };
    assert_eq!(all.encode(&mut BytesMut::new(), 0), Err(null));
    let null = DecodeError::NullField { message: "MetadataRequest", field: "topics", version: 0 };
    assert_eq!(MetadataRequest::decode(&mut Bytes::from_static(&[255; 4]), 0), Err(null));

    let response = JoinGroupResponse { protocol_name: None, ..Default::default() };
    assert!(response.encode(&mut BytesMut::new(), 6).is_err());
    assert!(response.encode(&mut BytesMut::new(), 7).is_ok());
}

#[test]
fn what_a_version_cannot_carry_is_an_error_unless_ignorable_or_default() {
    let mut response = MetadataResponse { throttle_time_ms: 9, ..Default::default() };
    response.encode(&mut BytesMut::new(), 0).unwrap();
    response.cluster_authorized_operations = 3;
    assert!(response.encode(&mut BytesMut::new(), 7).is_err());
    response.encode(&mut BytesMut::new(), 8).unwrap();

    let batch =
        FindCoordinatorRequest { coordinator_keys: vec!["g".to_owned()], ..Default::default() };
    let absent = EncodeError::FieldAbsent {
        message: "FindCoordinatorRequest",
        field: "coordinator_keys",
        version: 3,
    };
    assert_eq!(batch.encode(&mut BytesMut::new(), 3), Err(absent));

    let replica_state = ReplicaState { replica_id: 1, replica_epoch: 2 };
    let fetch = FetchRequest { replica_state, ..Default::default() };
    for version in [4, 12, 14] {
        assert!(fetch.encode(&mut BytesMut::new(), version).is_err(), "v{version}");
    }
    fetch.encode(&mut BytesMut::new(), 15).unwrap();
}

#[test]
fn unknown_tags_are_skipped_and_known_ones_must_fill_their_length() {
    let mut input = Bytes::from_static(&[1, 1, 1, 5, 3, 9, 9, 9, 7]);
    let read = ApiVersionsRequest::decode(&mut input, 3).unwrap();
    assert_eq!((read, &input[..]), (ApiVersionsRequest::default(), &[7][..]));

    // Tag 1, `finalized_features_epoch`, in nine bytes instead of eight.
    let head: &[u8] = &[0, 0, 1, 0, 0, 0, 0, 1];
    let long = [head, &[1, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0]].concat();
    let read = ApiVersionsResponse::decode(&mut Bytes::from(long), 3);
    assert_eq!(read, Err(DecodeError::TagLength { tag: 1, unread: 1 }));
    let short = [head, &[1, 7, 0, 0, 0, 0, 0, 0, 7]].concat();
    assert!(ApiVersionsResponse::decode(&mut Bytes::from(short), 3).is_err());
}

#[test]
fn strings_are_bounded_both_ways() {
    let names = |length: usize| DeleteTopicsRequest {
        topic_names: vec!["x".repeat(length)],
        ..Default::default()
    };
    for version in [1, 5] {
        let mut bytes = BytesMut::new();
        names(32767).encode(&mut bytes, version).unwrap();
        let read = DeleteTopicsRequest::decode(&mut bytes.freeze(), version);
        assert_eq!(read, Ok(names(32767)));
        let long = names(32768).encode(&mut BytesMut::new(), version);
        assert_eq!(long, Err(EncodeError::TooLong { length: 32768, max: 32767 }));
    }
    let mut long = vec![2, 0x81, 0x80, 2];
    long.extend([b'x'; 32770]);
    let read = DeleteTopicsRequest::decode(&mut Bytes::from(long), 5);
    assert_eq!(read, Err(DecodeError::StringLength { length: 32768 }));
}
