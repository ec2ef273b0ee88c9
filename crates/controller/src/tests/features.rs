//! Feature levels, producer ids, controllers.

use kalda_model::{BrokerId, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::allocate_producer_ids::AllocateProducerIdsRequest;
use kalda_protocol::messages::controller_registration::{
    ControllerRegistrationRequest, Feature, Listener,
};
use kalda_protocol::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};

use super::world::{Cluster, topic};
use crate::QuorumFeature;

/// A quorum whose voters are static, and know nothing else.
const STATIC: QuorumFeature<'_> =
    QuorumFeature { level: 0, may_rise: &|_| Err("the voters do not".to_owned()) };

const ELR: &str = "eligible.leader.replicas.version";

fn update(cluster: &mut Cluster, updates: &[(&str, i16, i8)]) -> (i16, String) {
    let key = |(feature, level, upgrade_type): &(&str, i16, i8)| FeatureUpdateKey {
        feature: (*feature).to_owned(),
        max_version_level: *level,
        upgrade_type: *upgrade_type,
        ..FeatureUpdateKey::default()
    };
    let request = UpdateFeaturesRequest {
        feature_updates: updates.iter().map(key).collect(),
        ..UpdateFeaturesRequest::default()
    };
    let response =
        cluster.decide(|controller, _, _| controller.update_features(&request, 2, STATIC).0);
    assert!(response.results.is_empty());
    (response.error_code, response.error_message.unwrap_or_default())
}

#[test]
fn levels_move_only_where_everyone_can_follow() {
    let mut cluster = Cluster::with_brokers(1);
    let invalid = ErrorCode::InvalidUpdateVersion.code();
    assert_eq!(update(&mut cluster, &[("transaction.version", 1, 1)]).0, invalid);
    assert_eq!(update(&mut cluster, &[("transaction.version", 1, 2)]).0, 0);
    assert_eq!(cluster.image.feature("transaction.version"), 1);
    assert_eq!(update(&mut cluster, &[("transaction.version", 2, 3)]).0, invalid);
    assert_eq!(update(&mut cluster, &[("transaction.version", 2, 9)]).0, invalid);
    assert_eq!(update(&mut cluster, &[("transaction.version", -1, 2)]).0, invalid);
    assert_eq!(update(&mut cluster, &[("no.such.version", 1, 1)]).0, invalid);
    assert_eq!(update(&mut cluster, &[("metadata.version", 20, 3)]).0, invalid);
    assert_eq!(update(&mut cluster, &[("kraft.version", 1, 1)]).0, invalid);
    // All or none.
    let both = [("transaction.version", 2, 1), ("group.version", 5, 1)];
    assert_eq!(update(&mut cluster, &both).0, invalid);
    assert_eq!(cluster.image.feature("transaction.version"), 1);
    let old = ControllerRegistrationRequest {
        controller_id: 9,
        features: vec![Feature {
            name: "transaction.version".into(),
            min_supported_version: 0,
            max_supported_version: 1,
        }],
        ..ControllerRegistrationRequest::default()
    };
    cluster.decide(|controller, _, _| controller.register_controller(&old));
    let (code, text) = update(&mut cluster, &[("transaction.version", 2, 1)]);
    assert_eq!(code, invalid);
    assert!(text.ends_with("Controller 9 only supports versions 0-1"), "{text}");
}

#[test]
fn each_feature_is_answered_in_old_versions_and_nothing_happens_when_only_validated() {
    let cluster = Cluster::with_brokers(1);
    let request = UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: "group.version".into(),
            max_version_level: 0,
            allow_downgrade: true,
            ..FeatureUpdateKey::default()
        }],
        validate_only: true,
        ..UpdateFeaturesRequest::default()
    };
    let (decision, _) = cluster.controller().update_features(&request, 0, STATIC);
    assert!(decision.records.is_empty());
    assert_eq!(decision.response.results.len(), 1);
    assert_eq!(decision.response.results[0].error_code, 0);
}

#[test]
fn the_quorums_own_feature_rises_if_its_voters_let_it_and_never_falls() {
    let cluster = Cluster::with_brokers(1);
    let ask = |level: i16, upgrade_type: i8, quorum: QuorumFeature<'_>| {
        let request = UpdateFeaturesRequest {
            feature_updates: vec![FeatureUpdateKey {
                feature: "kraft.version".into(),
                max_version_level: level,
                upgrade_type,
                ..FeatureUpdateKey::default()
            }],
            ..UpdateFeaturesRequest::default()
        };
        let (decision, rises_to) = cluster.controller().update_features(&request, 2, quorum);
        (decision.response.error_code, decision.records.len(), rises_to)
    };
    let invalid = ErrorCode::InvalidUpdateVersion.code();
    let ready = |level| QuorumFeature { level, may_rise: &|_| Ok(()) };
    assert_eq!(ask(1, 1, ready(0)), (0, 1, Some(1)), "with a record to be waited for");
    assert_eq!(ask(1, 1, STATIC), (invalid, 0, None));
    assert_eq!(ask(1, 1, ready(1)), (0, 0, None), "it is there already");
    assert_eq!(ask(0, 2, ready(1)), (invalid, 0, None));
    assert_eq!(ask(2, 1, ready(1)), (invalid, 0, None), "nobody knows that one");
}

#[test]
fn eligible_replicas_can_be_given_up_only_where_somebody_is_in_sync() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create(vec![topic("t", 1, 1)]);
    let leader = cluster.partition("t", 0).leader.0;
    cluster.fence(leader);
    let invalid = ErrorCode::InvalidUpdateVersion.code();
    assert_eq!(update(&mut cluster, &[(ELR, 0, 2)]).0, invalid);
    cluster.start(leader, super::world::Life::Clean);
    assert_eq!(update(&mut cluster, &[(ELR, 0, 2)]).0, 0);
    cluster.static_config.insert("min.insync.replicas".into(), "2".into());
    assert_eq!(update(&mut cluster, &[(ELR, 1, 1)]).0, 0);
    let all = kalda_metadata::ConfigResource::broker_default();
    assert_eq!(cluster.image.configs.value(&all, "min.insync.replicas"), Some("2"));
}

#[test]
fn producer_ids_go_to_brokers_that_are_registered_and_never_twice() {
    let mut cluster = Cluster::with_brokers(1);
    let epoch = cluster.epoch(1);
    let mut allocate = |broker_epoch| {
        let request = AllocateProducerIdsRequest { broker_id: 1, broker_epoch };
        let block = cluster.decide(|controller, _, _| controller.allocate_producer_ids(&request));
        (block.error_code, block.producer_id_start, block.producer_id_len)
    };
    assert_eq!(allocate(epoch), (0, 0, 1000));
    assert_eq!(allocate(epoch), (0, 1000, 1000));
    assert_eq!(allocate(epoch + 1).0, ErrorCode::StaleBrokerEpoch.code());
}

#[test]
fn a_controller_that_says_the_same_again_needs_no_record() {
    let mut cluster = Cluster::new();
    let request = ControllerRegistrationRequest {
        controller_id: 7,
        incarnation_id: Uuid(5),
        listeners: vec![Listener {
            name: "CONTROLLER".into(),
            host: "here".into(),
            port: 9093,
            security_protocol: 0,
        }],
        ..ControllerRegistrationRequest::default()
    };
    cluster.decide(|controller, _, _| controller.register_controller(&request));
    let known = &cluster.image.controllers[&BrokerId(7)];
    assert_eq!(known.endpoint("CONTROLLER").unwrap().port, 9093);
    assert!(cluster.controller().register_controller(&request).records.is_empty());
    let again = cluster.replayed_log();
    assert_eq!(cluster.image, again);
    let mut snapshot = Cluster::new();
    snapshot.replay(&cluster.image.to_records());
    assert_eq!(snapshot.image.controllers, cluster.image.controllers);
}

#[test]
fn a_new_topic_of_three_replicas_says_that_two_must_hold_a_write() {
    let cluster = Cluster::with_brokers(3);
    let request = kalda_protocol::messages::create_topics::CreateTopicsRequest {
        topics: vec![topic("one", 1, 1), topic("three", 1, 3)],
        ..kalda_protocol::messages::create_topics::CreateTopicsRequest::default()
    };
    let response = cluster.controller().create_topics(&request).response;
    let shown = response.topics.iter().map(|topic| {
        let configs = topic.configs.as_ref().unwrap();
        let min = configs.iter().find(|config| config.name == "min.insync.replicas").unwrap();
        (min.value.as_deref().unwrap(), min.config_source)
    });
    assert_eq!(shown.collect::<Vec<_>>(), [("1", 5), ("2", 5)]);
}
