//! Who leads, who is in sync, who is eligible.

use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};

use super::world::{Cluster, Life, topic, with_setting};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

fn elect(cluster: &mut Cluster, election_type: i8, which: Option<(&str, &[i32])>) -> Vec<i16> {
    let listed = |(topic, partitions): (&str, &[i32])| {
        vec![TopicPartitions { topic: topic.into(), partitions: partitions.to_vec() }]
    };
    let request = ElectLeadersRequest {
        election_type,
        topic_partitions: which.map(listed),
        ..ElectLeadersRequest::default()
    };
    let response = cluster.decide(|controller, _, _| controller.elect_leaders(&request));
    assert_eq!(response.error_code, 0);
    let results = response.replica_election_results.into_iter();
    results.flat_map(|topic| topic.partition_result).map(|result| result.error_code).collect()
}

#[test]
fn a_leader_changes_its_isr_and_who_left_below_the_minimum_stays_eligible() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3]]);
    let request = cluster.isr_request("t", 0, &[1, 2]);
    let answer = cluster.alter(&request);
    assert_eq!((answer.error_code, answer.leader_id), (0, 1));
    assert_eq!((answer.isr, answer.leader_epoch, answer.partition_epoch), (vec![1, 2], 0, 1));
    cluster.set_isr("t", 0, &[1]);
    assert_eq!(cluster.state("t", 0), "[1] [2] 1");
    cluster.set_isr("t", 0, &[1, 3]);
    assert_eq!(cluster.state("t", 0), "[1,3] [] 1");
    // The same members in another order are no change.
    let records = cluster.log.len();
    cluster.set_isr("t", 0, &[3, 1]);
    assert_eq!(cluster.log.len(), records);
}

#[test]
fn a_wrong_isr_is_refused_with_kafkas_codes() {
    let mut cluster = Cluster::with_brokers(4);
    cluster.create_at("t", &[&[1, 2, 3]]);
    cluster.set_isr("t", 0, &[1, 2]);
    let mut refusal = |isr: &[i32], change: &dyn Fn(&mut _)| {
        let mut request = cluster.isr_request("t", 0, isr);
        change(&mut request.topics[0].partitions[0]);
        cluster.alter(&request).error_code
    };
    use kalda_protocol::messages::alter_partition::RequestPartitionData as Data;
    let code = |code: ErrorCode| code.code();
    let none = |_: &mut Data| {};
    assert_eq!(refusal(&[1, 4], &none), code(ErrorCode::InvalidRequest));
    assert_eq!(refusal(&[2], &none), code(ErrorCode::InvalidRequest));
    assert_eq!(refusal(&[1, 1], &none), code(ErrorCode::InvalidRequest));
    assert_eq!(refusal(&[], &none), code(ErrorCode::InvalidRequest));
    let recovering = |data: &mut Data| data.leader_recovery_state = 1;
    assert_eq!(refusal(&[1], &recovering), code(ErrorCode::InvalidRequest));
    let old_leader = |data: &mut Data| data.leader_epoch -= 1;
    assert_eq!(refusal(&[1], &old_leader), code(ErrorCode::FencedLeaderEpoch));
    let old = |data: &mut Data| data.partition_epoch -= 1;
    assert_eq!(refusal(&[1], &old), code(ErrorCode::InvalidUpdateVersion));
    let nowhere = |data: &mut Data| data.partition_index = 7;
    assert_eq!(refusal(&[1], &nowhere), code(ErrorCode::UnknownTopicOrPartition));

    let mut unknown = cluster.isr_request("t", 0, &[1]);
    unknown.topics[0].topic_id.0 += 1;
    assert_eq!(cluster.alter(&unknown).error_code, code(ErrorCode::UnknownTopicId));
    let mut not_leader = cluster.isr_request("t", 0, &[1, 2]);
    not_leader.broker_id = 2;
    not_leader.broker_epoch = cluster.epoch(2);
    assert_eq!(cluster.alter(&not_leader).error_code, code(ErrorCode::InvalidRequest));
    let mut stale = cluster.isr_request("t", 0, &[1]);
    stale.broker_epoch -= 1;
    let response = cluster.decide(|controller, _, _| controller.alter_partition(&stale, 3));
    assert_eq!(response.error_code, code(ErrorCode::StaleBrokerEpoch));
    let mut twice = cluster.isr_request("t", 0, &[1]);
    let again = twice.topics[0].partitions[0].clone();
    twice.topics[0].partitions.push(again);
    let response = cluster.decide(|controller, _, _| controller.alter_partition(&twice, 3));
    let codes: Vec<_> =
        response.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes, [0, code(ErrorCode::InvalidRequest)]);
}

#[test]
fn an_isr_of_version_2_has_no_epochs() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create_at("t", &[&[1, 2]]);
    let mut request = cluster.isr_request("t", 0, &[]);
    request.topics[0].partitions[0].new_isr = vec![1];
    let response = cluster.decide(|controller, _, _| controller.alter_partition(&request, 2));
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    assert_eq!(cluster.state("t", 0), "[1] [] 1");
}

#[test]
fn preferred_leaders_are_elected_where_they_are_in_sync() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2], &[1, 3], &[2, 1]]);
    cluster.fence(1);
    cluster.start(1, Life::Clean);
    let (needless, unavailable, unknown) = (
        ErrorCode::ElectionNotNeeded.code(),
        ErrorCode::PreferredLeaderNotAvailable.code(),
        ErrorCode::UnknownTopicOrPartition.code(),
    );
    assert_eq!(
        elect(&mut cluster, PREFERRED, Some(("t", &[0, 2, 9]))),
        [unavailable, needless, unknown]
    );
    cluster.set_isr("t", 0, &[2, 1]);
    assert_eq!(elect(&mut cluster, PREFERRED, None), [0, unavailable]);
    assert_eq!(cluster.state("t", 0), "[2,1] [] 1");
    assert_eq!(elect(&mut cluster, PREFERRED, Some(("nope", &[0]))), [unknown]);
    cluster.set_isr("t", 1, &[3, 1]);
    cluster.decide(|controller, _, _| controller.balance_leaders());
    assert_eq!(cluster.state("t", 1), "[3,1] [] 1");
    let quiet = cluster.controller().balance_leaders();
    assert!(quiet.records.is_empty());
}

#[test]
fn balancing_moves_a_thousand_leaders_at_a_time() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create_at("t", &vec![&[1, 2][..]; 1500]);
    cluster.fence(1);
    cluster.start(1, Life::Clean);
    for index in 0..1500 {
        cluster.set_isr("t", index, &[1, 2]);
    }
    let runs: Vec<usize> = (0..3)
        .map(|_| {
            let decision = cluster.controller().balance_leaders();
            cluster.replay(&decision.records);
            decision.records.len()
        })
        .collect();
    assert_eq!(runs, [1000, 500, 0]);
}

#[test]
fn an_unclean_election_is_held_only_where_it_is_allowed_or_asked_for() {
    let mut cluster = Cluster::with_brokers(3);
    for name in ["safe", "asked", "allowed"] {
        cluster.create_at(name, &[&[1, 2, 3]]);
        cluster.set_isr(name, 0, &[1, 2]);
        cluster.set_isr(name, 0, &[1]);
    }
    cluster.set("allowed", "unclean.leader.election.enable", "true");
    cluster.fence(2);
    cluster.fence(1);
    assert_eq!(cluster.state("safe", 0), "[] [1,2] -1");
    assert_eq!(cluster.state("allowed", 0), "[3] [] 3");
    assert_eq!(cluster.partition("allowed", 0).leader_recovery_state, 1);
    let needless = ErrorCode::ElectionNotNeeded.code();
    assert_eq!(elect(&mut cluster, UNCLEAN, Some(("allowed", &[0]))), [needless]);
    assert_eq!(elect(&mut cluster, UNCLEAN, Some(("asked", &[0]))), [0]);
    assert_eq!(cluster.state("asked", 0), "[3] [] 3");
    cluster.fence(3);
    let nobody = ErrorCode::EligibleLeadersNotAvailable.code();
    assert_eq!(elect(&mut cluster, UNCLEAN, Some(("safe", &[0]))), [nobody]);
    assert!(cluster.controller().elect_unclean_where_allowed().records.is_empty());
    cluster.start(2, Life::Clean);
    // Who is eligible needs no unclean election.
    assert_eq!(cluster.state("safe", 0), "[2] [1] 2");
    assert_eq!(cluster.partition("safe", 0).leader_recovery_state, 0);
}

#[test]
fn a_recovering_leader_is_alone_until_it_has_recovered() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create(vec![with_setting(topic("t", 1, 2), "unclean.leader.election.enable", "true")]);
    let leader = cluster.partition("t", 0).leader.0;
    let other = 3 - leader;
    cluster.set_isr("t", 0, &[leader]);
    cluster.fence(leader);
    assert_eq!(cluster.state("t", 0), format!("[{other}] [] {other}"));
    cluster.start(leader, Life::Clean);
    let mut early = cluster.isr_request("t", 0, &[other, leader]);
    early.topics[0].partitions[0].leader_recovery_state = 1;
    assert_eq!(cluster.alter(&early).error_code, ErrorCode::InvalidRequest.code());
    cluster.set_isr("t", 0, &[other]);
    assert_eq!(cluster.partition("t", 0).leader_recovery_state, 0);
    cluster.set_isr("t", 0, &[other, leader]);
}

#[test]
fn the_last_known_leader_is_elected_before_others_where_records_may_be_lost() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3]]);
    cluster.set_isr("t", 0, &[1, 3]);
    cluster.set_isr("t", 0, &[3, 1]);
    cluster.fence(1);
    assert_eq!(cluster.state("t", 0), "[3] [1] 3");
    cluster.start(1, Life::Unclean);
    cluster.fence(1);
    cluster.fence(2);
    cluster.start(3, Life::Unclean);
    cluster.start(2, Life::Clean);
    assert_eq!(cluster.state("t", 0), "[] [] -1");
    assert_eq!(cluster.partition("t", 0).last_known_elr, [BrokerId(3)]);
    assert_eq!(elect(&mut cluster, UNCLEAN, None), [0]);
    assert_eq!(cluster.state("t", 0), "[3] [] 3");
    assert!(cluster.partition("t", 0).last_known_elr.is_empty());
}
