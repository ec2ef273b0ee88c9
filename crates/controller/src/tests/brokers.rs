//! Brokers come, are silent, stop and go.

use kalda_metadata::{Delta, Image};
use kalda_model::{BrokerEpoch, BrokerId, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::broker_registration::BrokerRegistrationRequest;
use kalda_protocol::messages::unregister_broker::UnregisterBrokerRequest;
use kalda_protocol::stored::metadata::MetadataRecord;

use super::world::{
    CLUSTER_ID, Cluster, CountingRng, Life, SESSION_MS, directory, last_offset, topic,
};
use crate::{BrokerSessions, Controller, RECORDS_PER_BATCH_MAX};

fn refused(change: impl FnOnce(&mut BrokerRegistrationRequest)) -> (i16, String) {
    let mut cluster = Cluster::with_brokers(2);
    let mut request = cluster.registration(3, Life::Clean);
    change(&mut request);
    let reason = cluster.controller().registration_refusal(
        &request,
        &cluster.sessions,
        CLUSTER_ID,
        cluster.now_ms,
    );
    let records = cluster.log.len();
    let response = cluster.register(&request);
    assert_eq!(cluster.log.len() == records, response.error_code != 0);
    (response.error_code, reason.unwrap_or_default())
}

#[test]
fn a_registration_that_does_not_fit_is_refused_with_one_line() {
    let code = |code: ErrorCode| code.code();
    assert_eq!(
        refused(|request| request.cluster_id = "another".into()),
        (
            code(ErrorCode::InconsistentClusterId),
            "Broker 3 belongs to cluster another, not to this one, a-cluster.".into()
        )
    );
    let invalid = code(ErrorCode::InvalidRegistration);
    assert_eq!(
        refused(|request| request.log_dirs.clear()),
        (invalid, "Broker 3 names no log directory.".into())
    );
    assert_eq!(refused(|request| request.log_dirs = vec![directory(3, 0); 2]).0, invalid);
    assert_eq!(refused(|request| request.log_dirs.push(Uuid(2))).0, invalid);
    let (refusal, text) = refused(|request| request.log_dirs = vec![directory(2, 0)]);
    assert_eq!(refusal, invalid);
    assert!(text.ends_with("of broker 3 belongs to broker 2."), "{text}");
    assert_eq!(refused(|request| request.broker_id = -1).0, invalid);
    assert_eq!(
        refused(|request| {
            for feature in &mut request.features {
                if feature.name == "transaction.version" {
                    feature.max_supported_version = 1;
                }
            }
        }),
        (
            code(ErrorCode::UnsupportedVersion),
            "Broker 3 supports transaction.version from 0 to 1, but the cluster runs level 2."
                .into()
        )
    );
    let without = |name: &'static str| {
        refused(move |request| request.features.retain(|feature| feature.name != name)).0
    };
    assert_eq!(without("metadata.version"), code(ErrorCode::UnsupportedVersion));
    assert_eq!(without("group.version"), code(ErrorCode::UnsupportedVersion));
    assert_eq!(refused(|_| {}).0, 0);
}

#[test]
fn a_second_broker_of_the_same_id_waits_for_the_session_of_the_first() {
    let mut cluster = Cluster::with_brokers(1);
    let duplicate = ErrorCode::DuplicateBrokerRegistration.code();
    let request = cluster.registration(1, Life::Clean);
    cluster.now_ms += SESSION_MS - 1;
    assert_eq!(cluster.register(&request).error_code, duplicate);
    cluster.now_ms += 1;
    assert_eq!(cluster.register(&request).error_code, 0);
    // Who is not yet unfenced, or was fenced because it is known to be gone, makes room at once.
    let next = cluster.registration(1, Life::Clean);
    assert_eq!(cluster.register(&next).error_code, 0);
    cluster.heartbeat(1, |_| {});
    let next = cluster.registration(1, Life::Clean);
    assert_eq!(cluster.register(&next).error_code, duplicate);
    cluster.fence(1);
    assert_eq!(cluster.register(&next).error_code, 0);
}

#[test]
fn a_node_that_starts_again_does_not_wait_for_its_own_past_but_for_anyone_who_was_heard() {
    let cluster = Cluster::with_brokers(1);
    let rng = CountingRng::default();
    let controller = Controller { node: BrokerId(1), rng: &rng, ..cluster.controller() };
    let mut sessions = BrokerSessions::new(SESSION_MS);
    sessions.on_became_active(&cluster.image, cluster.now_ms);
    let mut register = |incarnation| {
        let request = BrokerRegistrationRequest {
            incarnation_id: Uuid(incarnation),
            ..Cluster::new().registration(1, Life::Clean)
        };
        let next = cluster.image.end_offset;
        let now_ms = cluster.now_ms;
        let decision =
            controller.register_broker(&request, &mut sessions, CLUSTER_ID, next, now_ms);
        decision.response.error_code
    };
    assert_eq!(register(1), 0);
    assert_eq!(register(2), ErrorCode::DuplicateBrokerRegistration.code());
}

/// Its connection may have broken unnoticed.
#[test]
fn a_broker_whose_heartbeat_is_late_is_looked_for_every_so_often() {
    let cluster = Cluster::with_brokers(2);
    let mut sessions = BrokerSessions::new(9000).with_heartbeats_every(2000);
    sessions.on_became_active(&cluster.image, 0);
    let epoch = BrokerEpoch(cluster.epoch(2));
    sessions.on_heartbeat(BrokerId(2), epoch, 0, 1000);
    assert_eq!(sessions.next_late_ms(), Some(2500));
    assert_eq!(sessions.take_late(2499), []);
    assert_eq!(sessions.take_late(2500), [BrokerId(1)]);
    assert_eq!(sessions.take_late(3500), [BrokerId(2)]);
    assert_eq!(sessions.take_late(5000), [BrokerId(1)]);
    // Who is fenced is not missed; who comes back is.
    sessions.end(BrokerId(1));
    sessions.on_heartbeat(BrokerId(2), epoch, 0, 5500);
    assert_eq!(sessions.next_late_ms(), Some(8000));
    assert_eq!(BrokerSessions::new(9000).next_late_ms(), None, "nobody is there");
}

#[test]
fn the_same_life_amends_what_it_said_and_keeps_its_epoch() {
    let mut cluster = Cluster::with_brokers(1);
    let epoch = cluster.epoch(1);
    let mut request = cluster.registration(1, Life::Clean);
    request.incarnation_id = cluster.image.brokers[&BrokerId(1)].incarnation_id;
    request.rack = Some("r".into());
    assert_eq!(cluster.register(&request).broker_epoch, epoch);
    let broker = &cluster.image.brokers[&BrokerId(1)];
    assert_eq!((broker.rack.as_deref(), broker.fenced), (Some("r"), false));
    // It has caught up only when it has seen the amended record.
    let answer = cluster.heartbeat(1, |request| request.current_metadata_offset = epoch);
    assert!(!answer.is_caught_up && !answer.is_fenced);
    assert!(cluster.heartbeat(1, |_| {}).is_caught_up);
}

#[test]
fn the_epoch_of_a_broker_is_the_offset_of_its_record() {
    for partitions in [1, 9_999, 10_000] {
        let mut cluster = Cluster::with_brokers(2);
        for nth in 0..partitions / 5_000 + 1 {
            let count = (partitions - nth * 5_000).min(5_000);
            if count > 0 {
                cluster.create(vec![topic(&format!("t{nth}"), count, 2)]);
            }
        }
        cluster.sessions.end(BrokerId(1));
        let request = cluster.registration(1, Life::Unclean);
        let next = cluster.image.end_offset;
        let decision = cluster.controller().register_broker(
            &request,
            &mut cluster.sessions.clone(),
            CLUSTER_ID,
            next,
            cluster.now_ms,
        );
        let count = decision.records.len();
        assert_eq!(count, usize::try_from(partitions).unwrap() + 1);
        assert_eq!(count > RECORDS_PER_BATCH_MAX, partitions == 10_000);
        let MetadataRecord::RegisterBroker(record) = decision.records.last().unwrap() else {
            panic!("the registration is the last record");
        };
        assert_eq!(record.broker_epoch, decision.response.broker_epoch);
        assert_eq!(record.broker_epoch, last_offset(next, count));
    }
}

#[test]
fn a_broker_is_unfenced_once_it_knows_of_itself() {
    let mut cluster = Cluster::with_brokers(1);
    let request = cluster.registration(2, Life::Clean);
    let epoch = cluster.register(&request).broker_epoch;
    let behind = cluster.heartbeat(2, |request| request.current_metadata_offset = epoch - 1);
    assert!(!behind.is_caught_up && behind.is_fenced);
    let waiting = cluster.heartbeat(2, |request| request.want_fence = true);
    assert!(waiting.is_caught_up && waiting.is_fenced);
    assert!(!cluster.heartbeat(2, |_| {}).is_fenced);
    let stale = cluster.heartbeat(2, |request| request.broker_epoch -= 1);
    assert_eq!(stale.error_code, ErrorCode::StaleBrokerEpoch.code());
    assert!(cluster.heartbeat(2, |request| request.want_fence = true).is_fenced);
    assert!(cluster.image.brokers[&BrokerId(2)].fenced);
}

#[test]
fn who_is_silent_is_fenced_when_its_session_ends() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3], &[2, 3, 1]]);
    cluster.now_ms += 5000;
    cluster.heartbeat(3, |_| {});
    let expiry = cluster.sessions.next_expiry_ms().unwrap();
    assert_eq!(expiry, cluster.now_ms - 5000 + SESSION_MS);
    cluster.now_ms = expiry - 1;
    cluster
        .decide(|controller, sessions, now_ms| controller.fence_silent_brokers(sessions, now_ms));
    assert_eq!(cluster.state("t", 0), "[1,2,3] [] 1");
    cluster.now_ms = expiry;
    cluster
        .decide(|controller, sessions, now_ms| controller.fence_silent_brokers(sessions, now_ms));
    assert_eq!(cluster.state("t", 0), "[3] [2] 3");
    assert_eq!(cluster.state("t", 1), "[3] [2] 3");
    assert_eq!(cluster.sessions.next_expiry_ms(), Some(expiry + 5000));
    assert_eq!(cluster.image, cluster.replayed_log());
}

#[test]
fn a_controlled_shutdown_waits_until_all_know_who_leads() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3], &[1, 2, 3], &[2, 3, 1]]);
    let stop =
        |cluster: &mut Cluster| cluster.heartbeat(1, |request| request.want_shut_down = true);
    let first = stop(&mut cluster);
    assert!(!first.should_shut_down && !first.is_fenced);
    assert!(cluster.image.brokers[&BrokerId(1)].in_controlled_shutdown);
    assert_eq!(cluster.state("t", 0), "[2,3] [] 2");
    assert_eq!(cluster.state("t", 2), "[2,3] [] 2");
    let moved_at = cluster.image.end_offset.0 - 1;
    assert!(!stop(&mut cluster).should_shut_down);
    cluster.heartbeat(2, |_| {});
    assert!(!stop(&mut cluster).should_shut_down);
    cluster.heartbeat(3, |request| request.current_metadata_offset = moved_at);
    let last = stop(&mut cluster);
    assert!(last.should_shut_down && last.is_fenced);
    assert!(cluster.image.brokers[&BrokerId(1)].fenced);
    // Its next life comes at once, and with all that it had.
    let request = cluster.registration(1, Life::Clean);
    assert_eq!(cluster.register(&request).error_code, 0);
    assert!(!cluster.heartbeat(1, |_| {}).is_fenced);
    assert!(!cluster.image.brokers[&BrokerId(1)].in_controlled_shutdown);
}

#[test]
fn a_broker_that_stops_takes_no_new_leadership() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create_at("t", &[&[1, 2]]);
    cluster.heartbeat(1, |request| request.want_shut_down = true);
    assert_eq!(cluster.state("t", 0), "[2] [] 2");
    cluster.fence(2);
    assert_eq!(cluster.state("t", 0), "[] [2] -1");
}

#[test]
fn what_lies_in_a_failed_directory_is_not_in_sync() {
    let mut cluster = Cluster::with_brokers(3);
    let mut request = cluster.registration(4, Life::Clean);
    request.log_dirs = vec![directory(4, 0), directory(4, 1)];
    cluster.register(&request);
    cluster.heartbeat(4, |_| {});
    cluster.create_at("t", &[&[4, 1, 2], &[4, 1, 2]]);
    cluster.create_at("alone", &[&[4]]);
    super::reassignments::assign(&mut cluster, 4, "alone", &[(0, directory(4, 0))]);
    super::reassignments::assign(
        &mut cluster,
        4,
        "t",
        &[(0, directory(4, 0)), (1, directory(4, 1))],
    );
    cluster.heartbeat(4, |request| request.offline_log_dirs = vec![directory(4, 0)]);
    assert_eq!(cluster.state("t", 0), "[1,2] [] 1");
    assert_eq!(cluster.state("t", 1), "[4,1,2] [] 4");
    assert_eq!(cluster.image.brokers[&BrokerId(4)].log_dirs, [directory(4, 1)]);
    // The broker may lead again, but not what it cannot reach.
    assert_eq!(cluster.state("alone", 0), "[] [4] -1");
    cluster.heartbeat(4, |request| request.want_fence = true);
    cluster.heartbeat(4, |_| {});
    assert_eq!(cluster.state("alone", 0), "[] [4] -1");
    // Told again, nothing more happens.
    let records = cluster.log.len();
    cluster.heartbeat(4, |request| request.offline_log_dirs = vec![directory(4, 0)]);
    assert_eq!(cluster.log.len(), records);
}

#[test]
fn a_directory_that_a_broker_no_longer_names_has_nothing_in_sync() {
    let mut cluster = Cluster::with_brokers(2);
    let mut request = cluster.registration(3, Life::Clean);
    request.log_dirs = vec![directory(3, 0), directory(3, 1)];
    cluster.register(&request);
    cluster.heartbeat(3, |_| {});
    cluster.create_at("t", &[&[3, 1], &[3, 1]]);
    let both = [(0, directory(3, 0)), (1, directory(3, 1))];
    super::reassignments::assign(&mut cluster, 3, "t", &both);
    request.log_dirs.pop();
    assert_eq!(cluster.register(&request).error_code, 0);
    assert_eq!(cluster.state("t", 0), "[3,1] [] 3");
    assert_eq!(cluster.state("t", 1), "[1] [] 1");
}

#[test]
fn a_broker_that_is_unregistered_is_in_no_isr_and_not_eligible() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3], &[3, 2, 1]]);
    cluster.fence(1);
    cluster.set_isr("t", 0, &[2]);
    assert_eq!(cluster.state("t", 0), "[2] [3] 2");
    let unregister = |cluster: &mut Cluster, broker_id| {
        let request = UnregisterBrokerRequest { broker_id };
        cluster.decide(|controller, _, _| controller.unregister_broker(&request)).error_code
    };
    assert_eq!(unregister(&mut cluster, 3), 0);
    assert_eq!(cluster.state("t", 0), "[2] [] 2");
    assert_eq!(cluster.state("t", 1), "[2] [] 2");
    assert_eq!(unregister(&mut cluster, 3), ErrorCode::BrokerIdNotRegistered.code());
}

/// One node, as it starts: with a controller of its own.
fn restart_alone(cluster: &mut Cluster, life: Life) {
    let mut sessions = BrokerSessions::new(SESSION_MS);
    sessions.on_became_active(&cluster.image, cluster.now_ms);
    cluster.sessions = sessions;
    cluster.sessions.end(BrokerId(1));
    cluster.start(1, life);
}

#[test]
fn a_lonely_broker_that_was_killed_leads_everything_again_with_a_new_epoch() {
    let mut cluster = Cluster::with_brokers(1);
    cluster.create(vec![topic("t", 3, 1)]);
    restart_alone(&mut cluster, Life::Unclean);
    for index in 0..3 {
        assert_eq!(cluster.state("t", index), "[1] [] 1");
        // Offsets that were lost may be written again, and clients must be able to tell.
        assert_eq!(cluster.partition("t", index).leader_epoch.0, 1);
    }
    // The same when it was fenced meanwhile.
    cluster.fence(1);
    assert_eq!(cluster.state("t", 0), "[] [1] -1");
    restart_alone(&mut cluster, Life::Unclean);
    assert_eq!(cluster.state("t", 0), "[1] [] 1");
    assert_eq!(cluster.partition("t", 0).leader_epoch.0, 3);
}

#[test]
fn a_lonely_broker_that_stopped_in_order_goes_on_where_it_was() {
    let mut cluster = Cluster::with_brokers(1);
    cluster.create(vec![topic("t", 3, 1)]);
    let before = cluster.partition("t", 0);
    restart_alone(&mut cluster, Life::Clean);
    assert_eq!(cluster.partition("t", 0), before);
    // By a controlled shutdown its leaders went; they come back.
    cluster.heartbeat(1, |request| request.want_shut_down = true);
    assert_eq!(cluster.state("t", 0), "[] [1] -1");
    assert!(cluster.heartbeat(1, |request| request.want_shut_down = true).should_shut_down);
    restart_alone(&mut cluster, Life::Clean);
    assert_eq!(cluster.state("t", 0), "[1] [] 1");
}

#[test]
fn without_eligible_replicas_the_last_one_in_sync_stays_and_leads_again() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.replay(&[MetadataRecord::FeatureLevel(
        kalda_protocol::stored::metadata::FeatureLevelRecord {
            name: "eligible.leader.replicas.version".into(),
            feature_level: 0,
        },
    )]);
    cluster.create_at("one", &[&[1]]);
    cluster.create_at("two", &[&[1, 2]]);
    cluster.fence(2);
    cluster.fence(1);
    assert_eq!(cluster.state("one", 0), "[1] [] -1");
    assert_eq!(cluster.state("two", 0), "[1] [] -1");
    cluster.start(2, Life::Clean);
    assert_eq!(cluster.state("two", 0), "[1] [] -1");
    cluster.start(1, Life::Unclean);
    assert_eq!(cluster.state("one", 0), "[1] [] 1");
    assert_eq!(cluster.state("two", 0), "[1] [] 1");
}

#[test]
fn a_broker_of_ten_thousand_partitions_leads_none_when_it_is_fenced() {
    let mut cluster = Cluster::with_brokers(3);
    for nth in 0..10 {
        cluster.create(vec![topic(&format!("t{nth}"), 1000, 3)]);
    }
    let decision = cluster.controller().fence_broker(&mut cluster.sessions.clone(), BrokerId(1));
    assert_eq!(decision.records.len(), 10_001);
    let mut delta = Delta::new(&cluster.image);
    for record in &decision.records {
        delta.replay(record).unwrap();
    }
    let leads = |image: &Image| {
        let mut topics = image.topics.iter();
        topics.any(|topic| topic.partitions.values().any(|one| one.leader == BrokerId(1)))
    };
    assert!(leads(&cluster.image) && !leads(delta.image()));
}
