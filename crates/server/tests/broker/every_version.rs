//! Every version of every API that is advertised: a request that succeeds and one whose entries fail
//! are answered in that version. A field that a version cannot carry would close the connection.

use bytes::Bytes;
use kalda_model::Uuid;
use kalda_protocol::ApiKey;
use kalda_protocol::messages as api;
use kalda_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};

use crate::client::{Client, batch, fetch_request, new_topic, produce_request};
use crate::cluster_probes;
use crate::group_probes;
use crate::rig::Rig;
use crate::transaction_probes;

/// Whether the request is about what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum About {
    Known,
    Unknown,
}

/// What the requests speak of.
struct Subject {
    about: About,
    topic: String,
    topic_id: Uuid,
    partition: i32,
    /// Differs in every request.
    unique: String,
}

#[test]
fn every_advertised_version_answers_successes_and_failures() {
    let rig = Rig::start(&[("group.initial.rebalance.delay.ms", "0")]);
    let mut client = rig.client();
    let topic_id = client.create("known", 1, &[]);
    client.produce_ok("known", 0, batch(["a", "b"]));
    let advertised: ApiVersionsResponse = client.call(0, &ApiVersionsRequest::default());
    assert!(advertised.api_keys.len() >= 21);
    for served in advertised.api_keys {
        let key = ApiKey::from_i16(served.api_key).unwrap();
        // Produce says 0 for the sake of old clients and is served from 3 on (KAFKA-18659).
        let first = if key == ApiKey::Produce { 3 } else { served.min_version };
        for version in first..=served.max_version {
            for about in [About::Known, About::Unknown] {
                let is_known = about == About::Known;
                let subject = Subject {
                    about,
                    topic: if is_known { "known" } else { "unknown" }.to_owned(),
                    topic_id: if is_known { topic_id } else { Uuid(12_345) },
                    partition: if is_known { 0 } else { 77 },
                    unique: format!("made-{}-{version}", served.api_key),
                };
                probe(&mut rig.client(), key, version, &subject);
            }
        }
    }
    assert_eq!(client.read_all("known", 0, 0).len(), 2 + 11);
}

/// Sends the request and checks the codes of its entries.
fn probe(client: &mut Client, key: ApiKey, version: i16, subject: &Subject) {
    let groups = group_probes::Groups {
        is_known: subject.about == About::Known,
        group: &format!("{}-{}", subject.unique, subject.topic),
        topic: &subject.topic,
        partition: subject.partition,
    };
    if let Some(codes) = group_probes::probe(client, key, version, &groups) {
        check(&codes, key, version, subject);
        return;
    }
    if let Some(codes) = transaction_probes::probe(client, key, version, &groups) {
        check(&codes, key, version, subject);
        return;
    }
    if let Some(codes) = cluster_probes::probe(client, key, version, &groups) {
        check(&codes, key, version, subject);
        return;
    }
    let codes = match key {
        ApiKey::Produce | ApiKey::Fetch | ApiKey::ListOffsets | ApiKey::OffsetForLeaderEpoch => {
            records(client, key, version, subject)
        }
        ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::CreatePartitions
        | ApiKey::DeleteRecords => changes(client, key, version, subject),
        ApiKey::DescribeConfigs
        | ApiKey::AlterConfigs
        | ApiKey::IncrementalAlterConfigs
        | ApiKey::ListConfigResources => configs(client, key, version, subject),
        _ => descriptions(client, key, version, subject),
    };
    check(&codes, key, version, subject);
}

fn check(codes: &[i16], key: ApiKey, version: i16, subject: &Subject) {
    for &code in codes {
        let is_ok = code == 0;
        assert_eq!(is_ok, subject.about == About::Known, "{key:?} v{version}: {code}");
    }
}

fn records(client: &mut Client, key: ApiKey, version: i16, on: &Subject) -> Vec<i16> {
    let (topic, partition) = (&*on.topic, on.partition);
    match key {
        ApiKey::Produce => {
            let records = if on.about == About::Known {
                batch(["x"])
            } else {
                Bytes::from_static(b"no batch")
            };
            let mut request = produce_request(topic, partition, 1, records);
            request.topic_data[0].topic_id = on.topic_id;
            let response = client.call(version, &request);
            response.responses[0].partition_responses.iter().map(|one| one.error_code).collect()
        }
        ApiKey::Fetch => {
            let mut request = fetch_request(topic, partition, 0);
            request.topics[0].topic_id = on.topic_id;
            let response = client.call(version, &request);
            response.responses[0].partitions.iter().map(|one| one.error_code).collect()
        }
        ApiKey::ListOffsets => {
            use api::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
            let at = |timestamp| ListOffsetsPartition {
                partition_index: partition,
                timestamp,
                ..ListOffsetsPartition::default()
            };
            let partitions = vec![at(-1), at(-2), at(-3), at(-4), at(-5), at(0), at(i64::MAX)];
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![ListOffsetsTopic { name: topic.to_owned(), partitions }],
                ..ListOffsetsRequest::default()
            };
            let response = client.call(version, &request);
            response.topics[0].partitions.iter().map(|one| one.error_code).collect()
        }
        _ => {
            use api::offset_for_leader_epoch::{
                OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
            };
            let partitions = vec![OffsetForLeaderPartition {
                partition,
                leader_epoch: 0,
                ..OffsetForLeaderPartition::default()
            }];
            let request = OffsetForLeaderEpochRequest {
                topics: vec![OffsetForLeaderTopic { topic: topic.to_owned(), partitions }],
                ..OffsetForLeaderEpochRequest::default()
            };
            let response = client.call(version, &request);
            response.topics[0].partitions.iter().map(|one| one.error_code).collect()
        }
    }
}

fn changes(client: &mut Client, key: ApiKey, version: i16, on: &Subject) -> Vec<i16> {
    match key {
        ApiKey::CreateTopics => {
            let topic = match on.about {
                About::Known => new_topic(&on.unique, 1, &[("retention.ms", "1")]),
                About::Unknown => new_topic("not/allowed", -5, &[("x", "y")]),
            };
            let request = api::create_topics::CreateTopicsRequest {
                topics: vec![topic],
                ..Default::default()
            };
            client.call(version, &request).topics.iter().map(|one| one.error_code).collect()
        }
        ApiKey::DeleteTopics => {
            use api::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
            if on.about == About::Known {
                client.create(&on.unique, 1, &[]);
            }
            let by_name = DeleteTopicState { name: Some(on.unique.clone()), topic_id: Uuid::ZERO };
            let request = if version >= 6 {
                DeleteTopicsRequest { topics: vec![by_name], ..Default::default() }
            } else {
                DeleteTopicsRequest { topic_names: vec![on.unique.clone()], ..Default::default() }
            };
            let response = client.call(version, &request);
            response.responses.iter().map(|one| one.error_code).collect()
        }
        ApiKey::CreatePartitions => {
            use api::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
            let name = on.unique.clone();
            if on.about == About::Known {
                client.create(&name, 1, &[]);
            }
            let count = if on.about == About::Known { 2 } else { 0 };
            let topic = CreatePartitionsTopic { name, count, assignments: None };
            let request = CreatePartitionsRequest {
                topics: vec![topic],
                timeout_ms: 1000,
                validate_only: false,
            };
            client.call(version, &request).results.iter().map(|one| one.error_code).collect()
        }
        _ => {
            use api::delete_records::{
                DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
            };
            let partitions =
                vec![DeleteRecordsPartition { partition_index: on.partition, offset: 0 }];
            let request = DeleteRecordsRequest {
                topics: vec![DeleteRecordsTopic { name: on.topic.clone(), partitions }],
                timeout_ms: 1000,
            };
            let response = client.call(version, &request);
            response.topics[0].partitions.iter().map(|one| one.error_code).collect()
        }
    }
}

fn configs(client: &mut Client, key: ApiKey, version: i16, on: &Subject) -> Vec<i16> {
    let name = || if on.about == About::Known { "retention.ms" } else { "no.such" }.to_owned();
    let value = Some("5".to_owned());
    // A topic and a broker of it.
    let broker = if on.about == About::Known { "1" } else { "99" };
    let resources = [(2, on.topic.clone()), (4, broker.to_owned())];
    match key {
        ApiKey::DescribeConfigs => {
            use api::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
            let resources = resources.map(|(resource_type, resource_name)| {
                DescribeConfigsResource { resource_type, resource_name, configuration_keys: None }
            });
            let request = DescribeConfigsRequest {
                resources: resources.to_vec(),
                include_synonyms: version >= 1,
                include_documentation: version >= 3,
            };
            client.call(version, &request).results.iter().map(|one| one.error_code).collect()
        }
        ApiKey::AlterConfigs => {
            use api::alter_configs::{AlterConfigsRequest, AlterConfigsResource, AlterableConfig};
            let resource = AlterConfigsResource {
                resource_type: 2,
                resource_name: on.topic.clone(),
                configs: vec![AlterableConfig { name: name(), value }],
            };
            let request = AlterConfigsRequest { resources: vec![resource], validate_only: true };
            client.call(version, &request).responses.iter().map(|one| one.error_code).collect()
        }
        ApiKey::IncrementalAlterConfigs => {
            use api::incremental_alter_configs::{
                AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
            };
            let resource = AlterConfigsResource {
                resource_type: 2,
                resource_name: on.topic.clone(),
                configs: vec![AlterableConfig { name: name(), config_operation: 0, value }],
            };
            let request =
                IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true };
            client.call(version, &request).responses.iter().map(|one| one.error_code).collect()
        }
        _ => {
            let is_odd = on.about == About::Unknown && version >= 1;
            let request = api::list_config_resources::ListConfigResourcesRequest {
                resource_types: if is_odd { vec![99] } else { Vec::new() },
            };
            let code = client.call(version, &request).error_code;
            if on.about == About::Known || is_odd { vec![code] } else { Vec::new() }
        }
    }
}

fn descriptions(client: &mut Client, key: ApiKey, version: i16, on: &Subject) -> Vec<i16> {
    let is_known = on.about == About::Known;
    match key {
        ApiKey::Metadata => {
            use api::metadata::{MetadataRequest, MetadataRequestTopic};
            let all = (version == 0).then(Vec::new);
            client.call(version, &MetadataRequest { topics: all, ..by_version(version) });
            let name = if is_known { &*on.topic } else { "not/allowed" };
            let named = MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
            let by_id = MetadataRequestTopic { name: None, topic_id: on.topic_id };
            let topics = if version >= 12 { vec![named, by_id] } else { vec![named] };
            let request = MetadataRequest { topics: Some(topics), ..by_version(version) };
            let response = client.call(version, &request);
            response.topics.iter().map(|one| one.error_code).collect()
        }
        ApiKey::ApiVersions => {
            let request = ApiVersionsRequest {
                client_software_name: if is_known { "test" } else { "no name!" }.to_owned(),
                client_software_version: "1".to_owned(),
            };
            let code = client.call(version, &request).error_code;
            if is_known || version >= 3 { vec![code] } else { Vec::new() }
        }
        ApiKey::InitProducerId => {
            let request = api::init_producer_id::InitProducerIdRequest {
                transactional_id: (!is_known).then(String::new),
                ..Default::default()
            };
            vec![client.call(version, &request).error_code]
        }
        ApiKey::AlterReplicaLogDirs => {
            use api::alter_replica_log_dirs::{
                AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
            };
            let all = api::describe_log_dirs::DescribeLogDirsRequest { topics: None };
            let home = client.call(4, &all).results.remove(0).log_dir;
            let topic =
                AlterReplicaLogDirTopic { name: on.topic.clone(), partitions: vec![on.partition] };
            let dirs = vec![AlterReplicaLogDir { path: home, topics: vec![topic] }];
            let response = client.call(version, &AlterReplicaLogDirsRequest { dirs });
            response.results[0].partitions.iter().map(|one| one.error_code).collect()
        }
        ApiKey::DescribeLogDirs => {
            use api::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
            let topic =
                DescribableLogDirTopic { topic: on.topic.clone(), partitions: vec![on.partition] };
            let response =
                client.call(version, &DescribeLogDirsRequest { topics: Some(vec![topic]) });
            assert_eq!(response.results[0].topics.len(), usize::from(is_known));
            Vec::new()
        }
        ApiKey::DescribeCluster => {
            let request = api::describe_cluster::DescribeClusterRequest {
                endpoint_type: if !is_known && version >= 1 { 9 } else { 1 },
                ..Default::default()
            };
            let code = client.call(version, &request).error_code;
            if is_known || version >= 1 { vec![code] } else { Vec::new() }
        }
        ApiKey::DescribeProducers => {
            use api::describe_producers::{DescribeProducersRequest, TopicRequest};
            let topic =
                TopicRequest { name: on.topic.clone(), partition_indexes: vec![on.partition] };
            let response = client.call(version, &DescribeProducersRequest { topics: vec![topic] });
            response.topics[0].partitions.iter().map(|one| one.error_code).collect()
        }
        ApiKey::DescribeTopicPartitions => {
            use api::describe_topic_partitions::{DescribeTopicPartitionsRequest, TopicRequest};
            let request = DescribeTopicPartitionsRequest {
                topics: vec![TopicRequest { name: on.topic.clone() }],
                ..Default::default()
            };
            client.call(version, &request).topics.iter().map(|one| one.error_code).collect()
        }
        other => panic!("{other:?} is advertised and has no probe here"),
    }
}

fn by_version(version: i16) -> api::metadata::MetadataRequest {
    api::metadata::MetadataRequest {
        include_topic_authorized_operations: version >= 8,
        include_cluster_authorized_operations: (8..=10).contains(&version),
        ..Default::default()
    }
}
