//! The probes of `every_version` for groups: each version of each group API, once for a group that is
//! as it should be and once for one that is not.

use bytes::Bytes;
use kalda_protocol::ApiKey;
use kalda_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use kalda_protocol::messages::heartbeat::HeartbeatRequest;
use kalda_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use kalda_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use kalda_protocol::messages::{
    consumer_group_describe, delete_groups, describe_groups, find_coordinator, list_groups,
    offset_commit, offset_delete, offset_fetch,
};

use crate::client::Client;

/// First version of FindCoordinator with many keys, and of LeaveGroup with several members.
const MANY_KEYS: i16 = 4;
const MANY_MEMBERS: i16 = 3;

/// What the probe is about.
pub(crate) struct Groups<'a> {
    pub(crate) is_known: bool,
    /// A group of its own for every probe.
    pub(crate) group: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}

/// Sends the request and answers the codes of its entries; `None` for other APIs.
pub(crate) fn probe(
    client: &mut Client,
    key: ApiKey,
    version: i16,
    on: &Groups<'_>,
) -> Option<Vec<i16>> {
    // Who has not looked for the coordinator finds none: the first to ask makes its topic.
    assert_eq!(find(client, 0, &Groups { is_known: true, ..*on }), [0]);
    Some(match key {
        ApiKey::FindCoordinator => find(client, version, on),
        ApiKey::JoinGroup => vec![join(client, version, on, "").error_code],
        ApiKey::SyncGroup => {
            let member = member(client, on);
            vec![sync(client, version, on, &member)]
        }
        ApiKey::Heartbeat => {
            let member = member(client, on);
            assert_eq!(sync(client, 2, &Groups { is_known: true, ..*on }, &member), 0);
            let generation_id = if on.is_known { member.generation_id } else { 99 };
            let request = HeartbeatRequest {
                group_id: on.group.to_owned(),
                generation_id,
                member_id: member.member_id,
                ..HeartbeatRequest::default()
            };
            vec![client.call(version, &request).error_code]
        }
        ApiKey::LeaveGroup => leave(client, version, on),
        ApiKey::ConsumerGroupHeartbeat => vec![beat(client, version, on)],
        ApiKey::ConsumerGroupDescribe => {
            if on.is_known {
                assert_eq!(beat(client, 1, on), 0);
            }
            let request = consumer_group_describe::ConsumerGroupDescribeRequest {
                group_ids: vec![on.group.to_owned()],
                ..Default::default()
            };
            let response = client.call(version, &request);
            assert_eq!(response.groups[0].members.len(), usize::from(on.is_known));
            vec![response.groups[0].error_code]
        }
        ApiKey::OffsetCommit => commit(client, version, on),
        ApiKey::OffsetFetch => return Some(fetch(client, version, on)),
        ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteGroups
        | ApiKey::OffsetDelete => administer(client, key, version, on),
        _ => return None,
    })
}

fn find(client: &mut Client, version: i16, on: &Groups<'_>) -> Vec<i16> {
    let mut request = find_coordinator::FindCoordinatorRequest::default();
    if version >= MANY_KEYS {
        request.coordinator_keys = vec![on.group.to_owned(), "other".to_owned()];
    } else {
        request.key = on.group.to_owned();
    }
    if version >= 1 && !on.is_known {
        // No transactional id is empty.
        request.key_type = 1;
        request.key.clear();
        request.coordinator_keys = vec![String::new(); request.coordinator_keys.len()];
    }
    let response = client.call(version, &request);
    match version {
        MANY_KEYS.. => response.coordinators.iter().map(|one| one.error_code).collect(),
        // Version 0 knows only groups.
        0 if !on.is_known => Vec::new(),
        _ => vec![response.error_code],
    }
}

fn join(client: &mut Client, version: i16, on: &Groups<'_>, member_id: &str) -> JoinGroupResponse {
    let metadata = Bytes::from_static(b"metadata");
    let request = JoinGroupRequest {
        group_id: if on.is_known { on.group.to_owned() } else { String::new() },
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata }],
        ..JoinGroupRequest::default()
    };
    let response = client.call(version, &request);
    // From v4 on a newcomer is told its id and asked to come again (KIP-394).
    if response.error_code == 79 && member_id.is_empty() {
        return join(client, version, on, &response.member_id);
    }
    response
}

/// The only member of the group, before it synced.
fn member(client: &mut Client, on: &Groups<'_>) -> JoinGroupResponse {
    let joined = join(client, 2, &Groups { is_known: true, ..*on }, "");
    assert_eq!((joined.error_code, joined.leader == joined.member_id), (0, true));
    joined
}

fn sync(client: &mut Client, version: i16, on: &Groups<'_>, member: &JoinGroupResponse) -> i16 {
    let assignment = SyncGroupRequestAssignment {
        member_id: member.member_id.clone(),
        assignment: Bytes::from_static(b"assignment"),
    };
    let request = SyncGroupRequest {
        group_id: on.group.to_owned(),
        generation_id: if on.is_known { member.generation_id } else { 99 },
        member_id: member.member_id.clone(),
        protocol_type: (version >= 5).then(|| "consumer".to_owned()),
        protocol_name: (version >= 5).then(|| "range".to_owned()),
        assignments: vec![assignment],
        ..SyncGroupRequest::default()
    };
    let response = client.call(version, &request);
    if on.is_known {
        assert_eq!(&response.assignment[..], b"assignment");
    }
    response.error_code
}

/// A member of the newer protocol joins (epoch 0), or beats though nobody knows it.
fn beat(client: &mut Client, version: i16, on: &Groups<'_>) -> i16 {
    let request = ConsumerGroupHeartbeatRequest {
        group_id: on.group.to_owned(),
        // From v1 on the member makes up its own id (KIP-1082).
        member_id: if version >= 1 || !on.is_known { "member".to_owned() } else { String::new() },
        member_epoch: if on.is_known { 0 } else { 5 },
        rebalance_timeout_ms: 10_000,
        subscribed_topic_names: Some(vec![on.topic.to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let response = client.call(version, &request);
    assert_eq!(response.assignment.is_some(), on.is_known);
    response.error_code
}

fn leave(client: &mut Client, version: i16, on: &Groups<'_>) -> Vec<i16> {
    let joined = member(client, on);
    let member_id = if on.is_known { joined.member_id } else { "nobody".to_owned() };
    let mut request =
        LeaveGroupRequest { group_id: on.group.to_owned(), ..LeaveGroupRequest::default() };
    if version >= MANY_MEMBERS {
        request.members = vec![MemberIdentity { member_id, ..MemberIdentity::default() }];
        let response = client.call(version, &request);
        assert_eq!(response.error_code, 0);
        return response.members.iter().map(|member| member.error_code).collect();
    }
    request.member_id = member_id;
    vec![client.call(version, &request).error_code]
}

/// A commit of a group without members.
fn commit(client: &mut Client, version: i16, on: &Groups<'_>) -> Vec<i16> {
    let partition = offset_commit::OffsetCommitRequestPartition {
        partition_index: on.partition,
        committed_offset: 7,
        committed_metadata: Some("note".to_owned()),
        ..Default::default()
    };
    let request = offset_commit::OffsetCommitRequest {
        group_id: on.group.to_owned(),
        topics: vec![offset_commit::OffsetCommitRequestTopic {
            name: on.topic.to_owned(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let response = client.call(version, &request);
    response.topics[0].partitions.iter().map(|partition| partition.error_code).collect()
}

/// What was committed comes back; what was not is -1, and no error.
fn fetch(client: &mut Client, version: i16, on: &Groups<'_>) -> Vec<i16> {
    if on.is_known {
        assert_eq!(commit(client, 2, on), [0]);
    }
    let expected =
        if on.is_known { (7, Some("note".to_owned())) } else { (-1, Some(String::new())) };
    let group = on.group.to_owned();
    let indexes = vec![on.partition];
    let mut request = offset_fetch::OffsetFetchRequest::default();
    if version >= 8 {
        let topic = offset_fetch::OffsetFetchRequestTopics {
            name: on.topic.to_owned(),
            partition_indexes: indexes,
            ..Default::default()
        };
        request.groups = vec![offset_fetch::OffsetFetchRequestGroup {
            group_id: group,
            topics: Some(vec![topic]),
            ..Default::default()
        }];
        let response = client.call(version, &request);
        let found = &response.groups[0].topics[0].partitions[0];
        assert_eq!((found.committed_offset, found.metadata.clone()), expected);
        assert_eq!((found.error_code, response.groups[0].error_code), (0, 0));
    } else {
        request.group_id = group;
        let name = on.topic.to_owned();
        request.topics =
            Some(vec![offset_fetch::OffsetFetchRequestTopic { name, partition_indexes: indexes }]);
        let response = client.call(version, &request);
        let found = &response.topics[0].partitions[0];
        assert_eq!((found.committed_offset, found.metadata.clone()), expected);
        assert_eq!((found.error_code, response.error_code), (0, 0));
    }
    Vec::new()
}

fn administer(client: &mut Client, key: ApiKey, version: i16, on: &Groups<'_>) -> Vec<i16> {
    if on.is_known {
        assert_eq!(commit(client, 2, on), [0]);
    }
    let group = on.group.to_owned();
    match key {
        ApiKey::DescribeGroups => {
            let request = describe_groups::DescribeGroupsRequest {
                groups: vec![group],
                ..Default::default()
            };
            let response = client.call(version, &request);
            let described = &response.groups[0];
            let state = if on.is_known { "Empty" } else { "Dead" };
            assert_eq!(described.group_state, state);
            // A group that is not there is an error from v6 on (KIP-1043).
            if on.is_known || version >= 6 { vec![described.error_code] } else { Vec::new() }
        }
        ApiKey::ListGroups => {
            let response = client.call(version, &list_groups::ListGroupsRequest::default());
            let is_listed = response.groups.iter().any(|listed| listed.group_id == group);
            assert_eq!((response.error_code, is_listed), (0, on.is_known));
            Vec::new()
        }
        ApiKey::DeleteGroups => {
            let request = delete_groups::DeleteGroupsRequest { groups_names: vec![group] };
            let response = client.call(version, &request);
            response.results.iter().map(|result| result.error_code).collect()
        }
        _ => {
            let partition =
                offset_delete::OffsetDeleteRequestPartition { partition_index: on.partition };
            let request = offset_delete::OffsetDeleteRequest {
                group_id: group,
                topics: vec![offset_delete::OffsetDeleteRequestTopic {
                    name: on.topic.to_owned(),
                    partitions: vec![partition],
                }],
            };
            vec![client.call(version, &request).error_code]
        }
    }
}
