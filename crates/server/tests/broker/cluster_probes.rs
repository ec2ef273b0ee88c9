//! The probes of `every_version` for what the controller decides on brokers, leaders and replicas.

use kalda_protocol::ApiKey;
use kalda_protocol::messages as api;

use crate::client::Client;
use crate::group_probes::Groups;

/// The codes of the entries of an answer; `None` for an API of another kind.
pub(crate) fn probe(
    client: &mut Client,
    key: ApiKey,
    version: i16,
    on: &Groups<'_>,
) -> Option<Vec<i16>> {
    Some(match key {
        ApiKey::ElectLeaders => elect(client, version, on),
        ApiKey::AlterPartitionReassignments => reassign(client, version, on),
        ApiKey::ListPartitionReassignments => {
            let request =
                api::list_partition_reassignments::ListPartitionReassignmentsRequest::default();
            let response = client.call(version, &request);
            assert_eq!(response.topics, []);
            if on.is_known { vec![response.error_code] } else { Vec::new() }
        }
        ApiKey::UpdateFeatures => {
            use api::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};
            let feature = if on.is_known { "group.version" } else { "no.such.feature" };
            let request = UpdateFeaturesRequest {
                timeout_ms: 10_000,
                feature_updates: vec![FeatureUpdateKey {
                    feature: feature.into(),
                    max_version_level: 1,
                    upgrade_type: 1,
                    ..Default::default()
                }],
                validate_only: version >= 1,
            };
            let response = client.call(version, &request);
            let entries = response.results.iter().map(|one| one.error_code);
            if response.error_code == 0 { entries.collect() } else { vec![response.error_code] }
        }
        ApiKey::UnregisterBroker => {
            // The only broker of a test is not to be taken out of it.
            let request = api::unregister_broker::UnregisterBrokerRequest { broker_id: 99 };
            let code = client.call(version, &request).error_code;
            assert_eq!(code, 102, "BROKER_ID_NOT_REGISTERED");
            Vec::new()
        }
        ApiKey::DescribeQuorum => {
            use api::describe_quorum::{
                DescribeQuorumRequest, RequestPartitionData, RequestTopicData,
            };
            let name = if on.is_known { "__cluster_metadata" } else { on.topic };
            let topics = vec![RequestTopicData {
                topic_name: name.into(),
                partitions: vec![RequestPartitionData { partition_index: 0 }],
            }];
            let response = client.call(version, &DescribeQuorumRequest { topics });
            let parts = response.topics.iter().flat_map(|topic| &topic.partitions);
            if on.is_known {
                parts.map(|part| part.error_code).chain([response.error_code]).collect()
            } else {
                vec![response.error_code]
            }
        }
        ApiKey::AddRaftVoter => {
            let request = api::add_raft_voter::AddRaftVoterRequest {
                cluster_id: None,
                voter_id: 9,
                voter_directory_id: kalda_model::Uuid(77),
                ..Default::default()
            };
            let code = client.call(version, &request).error_code;
            assert_eq!(code, 42, "INVALID_REQUEST: it names no listener");
            Vec::new()
        }
        ApiKey::RemoveRaftVoter => {
            let request = api::remove_raft_voter::RemoveRaftVoterRequest {
                cluster_id: None,
                voter_id: 9,
                voter_directory_id: kalda_model::Uuid(77),
            };
            let code = client.call(version, &request).error_code;
            assert_eq!(code, 35, "UNSUPPORTED_VERSION: the voters are static");
            Vec::new()
        }
        _ => return None,
    })
}

fn elect(client: &mut Client, version: i16, on: &Groups<'_>) -> Vec<i16> {
    use api::elect_leaders::{ElectLeadersRequest, TopicPartitions};
    let named = TopicPartitions { topic: on.topic.into(), partitions: vec![on.partition] };
    let request = ElectLeadersRequest {
        election_type: 0,
        // Of all partitions only those are told of that had to be changed.
        topic_partitions: (!on.is_known).then(|| vec![named]),
        timeout_ms: 10_000,
    };
    let response = client.call(version, &request);
    let results = response.replica_election_results.iter();
    let codes = results.flat_map(|topic| &topic.partition_result).map(|one| one.error_code);
    if on.is_known { codes.chain([response.error_code]).collect() } else { codes.collect() }
}

fn reassign(client: &mut Client, version: i16, on: &Groups<'_>) -> Vec<i16> {
    use api::alter_partition_reassignments::{
        AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
    };
    let partition =
        ReassignablePartition { partition_index: on.partition, replicas: Some(vec![1]) };
    let topic = ReassignableTopic { name: on.topic.into(), partitions: vec![partition] };
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms: 10_000,
        topics: vec![topic],
        ..Default::default()
    };
    let response = client.call(version, &request);
    let parts = response.responses.iter().flat_map(|topic| &topic.partitions);
    parts.map(|part| part.error_code).collect()
}
