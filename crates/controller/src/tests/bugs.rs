//! Bugs that other controllers had, each under its name. The table is in `docs/reliability.md`.

use kalda_model::{BrokerId, Offset};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterableConfig,
};
use kalda_protocol::stored::metadata::MetadataRecord;

use super::reassignments::{moving, reassign};
use super::world::{CLUSTER_ID, Cluster, Life, SESSION_MS};
use crate::BrokerSessions;

/// An active controller that did not know a broker never fenced it.
#[test]
fn kafka_18138_a_new_active_controller_fences_brokers_that_it_never_heard() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3]]);
    cluster.fence(3);
    // Another controller takes over; only broker 2 speaks to it.
    cluster.sessions = BrokerSessions::new(SESSION_MS);
    let image = cluster.image.clone();
    cluster.sessions.on_became_active(&image, cluster.now_ms);
    cluster.now_ms += SESSION_MS - 1;
    cluster.heartbeat(2, |_| {});
    cluster.now_ms += 1;
    assert_eq!(cluster.sessions.next_expiry_ms(), Some(cluster.now_ms));
    cluster
        .decide(|controller, sessions, now_ms| controller.fence_silent_brokers(sessions, now_ms));
    assert_eq!(cluster.state("t", 0), "[2] [1] 2");
    assert!(cluster.image.brokers[&BrokerId(1)].fenced);
}

/// A broker that crashed and came back was taken for one that had stopped in order.
#[test]
fn kafka_18635_a_crash_takes_a_broker_out_of_isr_and_elr_before_it_is_registered() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("in-sync", &[&[1, 2, 3]]);
    cluster.create_at("eligible", &[&[2, 1]]);
    cluster.set("eligible", "min.insync.replicas", "2");
    cluster.set_isr("eligible", 0, &[2]);
    assert_eq!(cluster.state("eligible", 0), "[2] [1] 2");
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
    let kinds: Vec<_> = decision.records.iter().map(MetadataRecord::type_name).collect();
    assert_eq!(kinds, ["PartitionChangeRecord", "PartitionChangeRecord", "RegisterBrokerRecord"]);
    assert_eq!(decision.response.broker_epoch, next.plus(2).0);
    cluster.register(&request);
    assert_eq!(cluster.state("in-sync", 0), "[2,3] [] 2");
    assert_eq!(cluster.state("eligible", 0), "[2] [] 2");
    // One that stopped in order stays eligible.
    cluster.start(1, Life::Clean);
    cluster.set_isr("eligible", 0, &[2, 1]);
    cluster.start(1, Life::Clean);
    assert_eq!(cluster.state("eligible", 0), "[2] [1] 2");
}

/// A leader that knew more than the controller was told that its epoch was old.
#[test]
fn kafka_14154_a_leader_that_is_ahead_is_sent_to_the_newer_controller() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create_at("t", &[&[1, 2]]);
    let not_controller = ErrorCode::NotController.code();
    let mut ahead = cluster.isr_request("t", 0, &[1]);
    ahead.topics[0].partitions[0].leader_epoch += 1;
    assert_eq!(cluster.alter(&ahead).error_code, not_controller);
    let mut ahead = cluster.isr_request("t", 0, &[1]);
    ahead.topics[0].partitions[0].partition_epoch += 1;
    assert_eq!(cluster.alter(&ahead).error_code, not_controller);
}

/// After a reassignment the ISR had brokers that were no replicas.
#[test]
fn kafka_9672_and_9631_who_is_no_replica_leaves_the_isr_with_the_reassignment() {
    let mut cluster = Cluster::with_brokers(4);
    cluster.create_at("t", &[&[1, 2]]);
    reassign(&mut cluster, "t", 0, Some(&[2, 3]));
    let last = cluster.isr_request("t", 0, &[1, 2, 3]);
    cluster.alter(&last);
    assert_eq!(
        (moving(&cluster, "t", 0), cluster.state("t", 0)),
        ("2,3 + -".into(), "[2,3] [] 2".into())
    );
    // Nor is anyone eligible who is no replica.
    cluster.set("t", "min.insync.replicas", "2");
    cluster.set_isr("t", 0, &[2]);
    assert_eq!(cluster.state("t", 0), "[2] [3] 2");
    reassign(&mut cluster, "t", 0, Some(&[2, 4]));
    let last = cluster.isr_request("t", 0, &[2, 4]);
    assert_eq!(cluster.alter(&last).error_code, 0);
    assert_eq!(
        (moving(&cluster, "t", 0), cluster.state("t", 0)),
        ("2,4 + -".into(), "[2,4] [] 2".into())
    );
    let stranger = cluster.isr_request("t", 0, &[2, 3]);
    assert_eq!(cluster.alter(&stranger).error_code, ErrorCode::InvalidRequest.code());
}

/// A reassignment was complete although not all new replicas were in sync.
#[test]
fn kafka_15665_a_reassignment_waits_for_every_new_replica() {
    let mut cluster = Cluster::with_brokers(6);
    cluster.create_at("t", &[&[1, 2, 3]]);
    reassign(&mut cluster, "t", 0, Some(&[4, 5, 6]));
    cluster.set_isr("t", 0, &[1, 2, 3, 4, 5]);
    assert!(cluster.partition("t", 0).is_reassigning());
    // Nor when everybody who is not yet in sync is gone.
    cluster.fence(6);
    cluster.fence(3);
    assert!(cluster.partition("t", 0).is_reassigning());
    cluster.start(6, Life::Clean);
    let last = cluster.isr_request("t", 0, &[1, 2, 4, 5, 6]);
    cluster.alter(&last);
    assert_eq!(
        (moving(&cluster, "t", 0), cluster.state("t", 0)),
        ("4,5,6 + -".into(), "[4,5,6] [] 4".into())
    );
}

/// A fenced or stopping replica was put into the ISR.
#[test]
fn kafka_13916_who_is_fenced_or_stopping_is_not_let_into_the_isr() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3]]);
    cluster.create_at("led-by-3", &[&[3]]);
    let ineligible = ErrorCode::IneligibleReplica.code();
    cluster.fence(2);
    let fenced = cluster.isr_request("t", 0, &[1, 2, 3]);
    assert_eq!(cluster.alter(&fenced).error_code, ineligible);
    cluster.heartbeat(3, |request| request.want_shut_down = true);
    let stopping = cluster.isr_request("t", 0, &[1, 3]);
    assert_eq!(cluster.alter(&stopping).error_code, ineligible);
    cluster.start(2, Life::Clean);
    cluster.set_isr("t", 0, &[1, 2]);
}

/// A replica that had lost its disk and started again was let in for what its former life had.
#[test]
fn kafka_14139_a_replica_of_another_life_than_the_leader_saw_is_not_let_in() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create_at("t", &[&[1, 2]]);
    cluster.set_isr("t", 0, &[1]);
    let mut late = cluster.isr_request("t", 0, &[1, 2]);
    cluster.start(2, Life::Unclean);
    late.topics[0].partitions[0].partition_epoch = cluster.partition("t", 0).partition_epoch.0;
    assert_eq!(cluster.alter(&late).error_code, ErrorCode::IneligibleReplica.code());
    cluster.set_isr("t", 0, &[1, 2]);
}

fn set_min(cluster: &mut Cluster, resource_type: i8, name: &str, value: &str) -> i16 {
    let request = AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type,
            resource_name: name.into(),
            configs: vec![AlterableConfig {
                name: "min.insync.replicas".into(),
                value: Some(value.into()),
            }],
        }],
        ..AlterConfigsRequest::default()
    };
    cluster.decide(|controller, _, _| controller.alter_configs(&request)).responses[0].error_code
}

/// Replicas stayed eligible by a minimum that no longer held.
#[test]
fn kafka_16540_another_minimum_makes_nobody_eligible_who_was() {
    let mut cluster = Cluster::with_brokers(3);
    for name in ["t", "u", "dark"] {
        cluster.create_at(name, &[&[1, 2, 3]]);
        cluster.set_isr(name, 0, &[1, 2]);
        cluster.set_isr(name, 0, &[1]);
        assert_eq!(cluster.state(name, 0), "[1] [2] 1");
    }
    assert_eq!(set_min(&mut cluster, 2, "t", "1"), 0);
    assert_eq!(cluster.state("t", 0), "[1] [] 1");
    assert_eq!(cluster.state("u", 0), "[1] [2] 1");
    // The same value again is no change.
    let records = cluster.log.len();
    set_min(&mut cluster, 2, "t", "1");
    assert_eq!(cluster.log.len(), records + 1);
    // For all brokers: all topics. Where nobody leads nothing can have moved, and who is eligible is
    // all there is.
    cluster.create_at("led-by-3", &[&[3, 1]]);
    cluster.fence(2);
    cluster.set_isr("u", 0, &[1]);
    let before = cluster.partition("u", 0);
    assert_eq!(set_min(&mut cluster, 4, "", "1"), 0);
    assert_eq!(cluster.state("u", 0), "[1] [] 1");
    assert_eq!(cluster.partition("u", 0).partition_epoch.0, before.partition_epoch.0 + 1);
    cluster.fence(1);
    assert_eq!(cluster.state("u", 0), "[] [1] -1");
    assert_eq!(set_min(&mut cluster, 4, "", "2"), 0);
    assert_eq!(cluster.state("u", 0), "[] [1] -1");
    cluster.start(1, Life::Clean);
    assert_eq!(cluster.state("u", 0), "[1] [] 1");
    assert_eq!(cluster.image, cluster.replayed_log());
    let one_broker = set_min(&mut cluster, 4, "1", "2");
    assert_eq!(one_broker, ErrorCode::InvalidConfig.code());
}

/// The last known leader was elected although it was fenced, whatever the topic allowed.
#[test]
fn kafka_19522_a_last_known_leader_must_live_and_losing_records_must_be_allowed() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create_at("t", &[&[1, 2]]);
    cluster.set("t", "min.insync.replicas", "2");
    cluster.set_isr("t", 0, &[1]);
    cluster.fence(2);
    // 2 was eligible; it lost what it had. Then 1 did.
    cluster.start(2, Life::Unclean);
    cluster.fence(2);
    cluster.sessions.end(BrokerId(1));
    let request = cluster.registration(1, Life::Unclean);
    cluster.register(&request);
    assert_eq!(cluster.state("t", 0), "[] [] -1");
    assert_eq!(cluster.partition("t", 0).last_known_elr, [BrokerId(1)]);
    cluster.heartbeat(1, |_| {});
    // Not allowed: it waits for an operator, although the last known leader lives.
    assert_eq!(cluster.state("t", 0), "[] [] -1");
    assert!(cluster.controller().elect_unclean_where_allowed().records.is_empty());
    // Allowed: not while it is fenced, and somebody else if there is one.
    cluster.fence(1);
    cluster.set("t", "unclean.leader.election.enable", "true");
    assert!(cluster.controller().elect_unclean_where_allowed().records.is_empty());
    cluster.start(2, Life::Clean);
    assert_eq!(cluster.state("t", 0), "[2] [] 2");
}

/// The high watermark moved with fewer in sync than must be. The controller's part: whoever leaves
/// while it stands still can lead.
#[test]
fn kafka_15583_below_the_minimum_whoever_was_in_sync_stays_eligible() {
    let mut cluster = Cluster::with_brokers(4);
    cluster.create_at("t", &[&[1, 2, 3, 4]]);
    cluster.set("t", "min.insync.replicas", "3");
    cluster.set_isr("t", 0, &[1, 2, 3]);
    // 4 left while enough were in sync: the high watermark went on without it.
    assert_eq!(cluster.state("t", 0), "[1,2,3] [] 1");
    for (id, state) in [(3, "[1,2] [3] 1"), (1, "[2] [1,3] 2"), (2, "[] [1,2,3] -1")] {
        cluster.fence(id);
        assert_eq!(cluster.state("t", 0), state);
    }
    cluster.start(3, Life::Clean);
    assert_eq!(cluster.state("t", 0), "[3] [1,2] 3");
    cluster.set_isr("t", 0, &[3, 4]);
    assert_eq!(cluster.state("t", 0), "[3,4] [1,2] 3");
    cluster.start(1, Life::Clean);
    cluster.set_isr("t", 0, &[3, 4, 1]);
    assert_eq!(cluster.state("t", 0), "[3,4,1] [] 3");
}

/// The last one in sync lost records and was elected, although another one had them all (KIP-966).
#[test]
fn kip_966_the_last_replica_standing_is_not_trusted_after_a_crash() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3]]);
    cluster.fence(3);
    cluster.fence(2);
    assert_eq!(cluster.state("t", 0), "[1] [2] 1");
    // The last one crashes and is back before anyone else.
    cluster.start(1, Life::Unclean);
    assert_eq!(cluster.state("t", 0), "[] [2] -1");
    // 3 left when two were in sync and may lack what they had.
    cluster.start(3, Life::Clean);
    assert_eq!(cluster.state("t", 0), "[] [2] -1");
    cluster.start(2, Life::Clean);
    assert_eq!(cluster.state("t", 0), "[2] [] 2");
    cluster.set_isr("t", 0, &[2, 1, 3]);
}

/// A broker whose disk was replaced by an empty one says that it stopped in order.
#[test]
fn an_empty_disk_of_the_same_broker_leads_nothing() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.create_at("alone", &[&[1]]);
    cluster.create_at("t", &[&[1, 2]]);
    cluster.sessions.end(BrokerId(1));
    let mut request = cluster.registration(1, Life::Clean);
    request.log_dirs = vec![super::world::directory(1, 5)];
    assert_eq!(cluster.register(&request).error_code, 0);
    assert!(!cluster.heartbeat(1, |_| {}).is_fenced);
    assert_eq!(cluster.state("alone", 0), "[] [] -1");
    assert_eq!(cluster.state("t", 0), "[2] [] 2");
    // Not even when its replica has a place on the new disk.
    super::reassignments::assign(&mut cluster, 1, "alone", &[(0, super::world::directory(1, 5))]);
    assert_eq!(cluster.state("alone", 0), "[] [] -1");
}

/// Two brokers that are fenced at once: the second one's record knows of the first's.
#[test]
fn brokers_that_are_silent_together_leave_one_after_the_other() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3]]);
    cluster.now_ms += SESSION_MS;
    cluster.heartbeat(3, |_| {});
    let before = cluster.image.end_offset;
    cluster
        .decide(|controller, sessions, now_ms| controller.fence_silent_brokers(sessions, now_ms));
    assert_eq!(cluster.state("t", 0), "[3] [2] 3");
    assert_eq!(cluster.image.end_offset, Offset(before.0 + 4));
}
