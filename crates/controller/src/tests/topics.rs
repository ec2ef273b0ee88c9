//! Topics: made, grown, deleted and set.

use std::collections::BTreeMap;

use kalda_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use kalda_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopicConfig, CreateTopicsRequest,
};
use kalda_protocol::messages::delete_topics::DeleteTopicsRequest;
use kalda_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::world::{Cluster, topic};

#[test]
fn a_topic_gets_its_partitions_spread_over_the_brokers() {
    let mut cluster = Cluster::with_brokers(3);
    assert_eq!(cluster.create(vec![topic("t", 6, 2)]), [("t".to_owned(), 0, None)]);
    let made = cluster.image.topics.by_name("t").unwrap();
    let mut led = BTreeMap::new();
    for partition in made.partitions.values() {
        assert_eq!(partition.isr, partition.replicas);
        assert_eq!(partition.replicas.len(), 2);
        assert_ne!(partition.replicas[0], partition.replicas[1]);
        *led.entry(partition.leader).or_insert(0) += 1;
    }
    assert_eq!(led.into_values().collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn each_topic_of_a_request_is_refused_on_its_own() {
    let mut cluster = Cluster::with_brokers(1);
    cluster.create(vec![topic("there", 1, 1)]);
    let mut bad_value = topic("bad-value", 1, 1);
    bad_value.configs =
        vec![CreatableTopicConfig { name: "retention.ms".into(), value: Some("soon".into()) }];
    let mut by_hand = topic("by-hand", -1, -1);
    by_hand.assignments =
        vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![9] }];
    let results = cluster.create(vec![
        topic("fine", 1, 1),
        topic("there", 1, 1),
        topic("../etc", 1, 1),
        topic("many", 1, 3),
        topic("twice", 1, 1),
        topic("twice", 1, 1),
        topic("none", 0, 1),
        bad_value,
        by_hand,
        topic("a.b", 1, 1),
        topic("a_b", 1, 1),
    ]);
    let codes: Vec<_> = results.iter().map(|(name, code, _)| (name.as_str(), *code)).collect();
    assert_eq!(
        codes,
        [
            ("fine", 0),
            ("there", 36),
            ("../etc", 17),
            ("many", 38),
            ("twice", 42),
            ("none", 37),
            ("bad-value", 40),
            ("by-hand", 39),
            ("a.b", 0),
            ("a_b", 17),
        ]
    );
    assert_eq!(
        results[6].2.as_deref(),
        Some("Invalid value soon for configuration retention.ms: Not a number of type LONG")
    );
}

#[test]
fn validate_only_answers_the_same_and_changes_nothing() {
    let cluster = Cluster::with_brokers(1);
    let request = CreateTopicsRequest {
        topics: vec![topic("t", 2, 1)],
        validate_only: true,
        ..CreateTopicsRequest::default()
    };
    let decision = cluster.controller().create_topics(&request);
    assert!(decision.records.is_empty());
    assert_eq!(decision.response.topics[0].error_code, 0);
    assert_eq!(decision.response.topics[0].num_partitions, 2);
}

#[test]
fn partitions_grow_and_never_shrink() {
    let mut cluster = Cluster::with_brokers(1);
    cluster.create(vec![topic("t", 1, 1)]);
    let mut grow = |name: &str, count| {
        let asked = CreatePartitionsTopic { name: name.into(), count, assignments: None };
        let request =
            CreatePartitionsRequest { topics: vec![asked], ..CreatePartitionsRequest::default() };
        let decision = cluster.controller().create_partitions(&request);
        cluster.replay(&decision.records);
        let result = decision.response.results.into_iter().next().unwrap();
        (result.error_code, result.error_message.unwrap_or_default())
    };
    assert_eq!(grow("t", 3), (0, String::new()));
    assert_eq!(grow("t", 3), (37, "Topic already has 3 partition(s).".into()));
    let refused = "The topic t currently has 3 partition(s); 2 would not be an increase.";
    assert_eq!(grow("t", 2), (37, refused.into()));
    assert_eq!(grow("nope", 2).0, 3);
}

#[test]
fn deleting_twice_in_one_request_deletes_once() {
    let mut cluster = Cluster::with_brokers(1);
    cluster.create(vec![topic("t", 1, 1)]);
    let request = DeleteTopicsRequest {
        topic_names: vec!["t".into(), "t".into(), "nope".into()],
        ..DeleteTopicsRequest::default()
    };
    let decision = cluster.controller().delete_topics(&request);
    let codes: Vec<_> = decision.response.responses.iter().map(|r| r.error_code).collect();
    assert_eq!(codes, [0, 42, 3]);
    assert_eq!(decision.records.len(), 1);
}

#[test]
fn settings_are_set_appended_subtracted_and_deleted() {
    let mut cluster = Cluster::with_brokers(1);
    cluster.create(vec![topic("t", 1, 1)]);
    let mut alter = |name: &str, operation: i8, value: Option<&str>| {
        let config = AlterableConfig {
            name: name.into(),
            config_operation: operation,
            value: value.map(str::to_owned),
        };
        let resource = AlterConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configs: vec![config],
        };
        let request = IncrementalAlterConfigsRequest {
            resources: vec![resource],
            ..IncrementalAlterConfigsRequest::default()
        };
        let decision = cluster.controller().incremental_alter_configs(&request);
        cluster.replay(&decision.records);
        let resource = kalda_metadata::ConfigResource::topic("t");
        let now = cluster.image.configs.value(&resource, name).map(str::to_owned);
        (decision.response.responses[0].error_code, now)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(alter("cleanup.policy", 2, Some("compact")), (0, text("delete,compact")));
    assert_eq!(alter("cleanup.policy", 3, Some("delete")), (0, text("compact")));
    assert_eq!(alter("cleanup.policy", 1, None), (0, None));
    assert_eq!(alter("retention.ms", 2, Some("5")).0, 40);
    assert_eq!(alter("retention.ms", 0, Some("5")), (0, text("5")));
    assert_eq!(alter("no.such.key", 0, Some("5")).0, 40);
}
