//! Partitions move to other brokers and directories.

use kalda_model::DirectoryId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use kalda_protocol::messages::assign_replicas_to_dirs::{
    AssignReplicasToDirsRequest, RequestDirectoryData, RequestPartitionData, RequestTopicData,
};
use kalda_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};

use super::world::{Cluster, directory};

/// Moves one partition, or cancels its move.
pub(super) fn reassign(
    cluster: &mut Cluster,
    name: &str,
    index: i32,
    replicas: Option<&[i32]>,
) -> (i16, String) {
    reassign_with(cluster, name, index, replicas, true)
}

fn reassign_with(
    cluster: &mut Cluster,
    name: &str,
    index: i32,
    replicas: Option<&[i32]>,
    allow_replication_factor_change: bool,
) -> (i16, String) {
    let replicas = replicas.map(<[i32]>::to_vec);
    let partition = ReassignablePartition { partition_index: index, replicas };
    let request = AlterPartitionReassignmentsRequest {
        allow_replication_factor_change,
        topics: vec![ReassignableTopic { name: name.into(), partitions: vec![partition] }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let response =
        cluster.decide(|controller, _, _| controller.alter_partition_reassignments(&request));
    let answer = &response.responses[0].partitions[0];
    (answer.error_code, answer.error_message.clone().unwrap_or_default())
}

/// `replicas +adding -removing` of a partition.
pub(super) fn moving(cluster: &Cluster, name: &str, index: i32) -> String {
    let partition = cluster.partition(name, index);
    let ids = |ids: &[kalda_model::BrokerId]| {
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    format!(
        "{} +{} -{}",
        ids(&partition.replicas),
        ids(&partition.adding_replicas),
        ids(&partition.removing_replicas)
    )
}

pub(super) fn assign(
    cluster: &mut Cluster,
    broker: i32,
    name: &str,
    assignments: &[(i32, DirectoryId)],
) -> Vec<i16> {
    let topic_id = cluster.image.topics.by_name(name).unwrap().id;
    let one = |(partition_index, id): &(i32, DirectoryId)| RequestDirectoryData {
        id: *id,
        topics: vec![RequestTopicData {
            topic_id,
            partitions: vec![RequestPartitionData { partition_index: *partition_index }],
        }],
    };
    let request = AssignReplicasToDirsRequest {
        broker_id: broker,
        broker_epoch: cluster.epoch(broker),
        directories: assignments.iter().map(one).collect(),
    };
    let response = cluster.decide(|controller, _, _| controller.assign_replicas_to_dirs(&request));
    assert_eq!(response.error_code, 0);
    let directories = response.directories.into_iter();
    directories.map(|directory| directory.topics[0].partitions[0].error_code).collect()
}

#[test]
fn a_partition_moves_when_all_of_its_new_replicas_are_in_sync() {
    let mut cluster = Cluster::with_brokers(5);
    cluster.create_at("t", &[&[1, 2, 3]]);
    assert_eq!(reassign(&mut cluster, "t", 0, Some(&[3, 4, 5])), (0, String::new()));
    assert_eq!(moving(&cluster, "t", 0), "3,4,5,1,2 +4,5 -1,2");
    assert_eq!(cluster.partition("t", 0).directory_of(kalda_model::BrokerId(4)), directory(4, 0));
    cluster.set_isr("t", 0, &[1, 2, 3, 4]);
    assert_eq!(cluster.state("t", 0), "[1,2,3,4] [] 1");
    let epoch = cluster.partition("t", 0).leader_epoch.0;
    let last = cluster.isr_request("t", 0, &[1, 2, 3, 4, 5]);
    // The leader is not among the new replicas: another one leads.
    assert_eq!(cluster.alter(&last).error_code, ErrorCode::NewLeaderElected.code());
    assert_eq!(moving(&cluster, "t", 0), "3,4,5 + -");
    assert_eq!(cluster.state("t", 0), "[3,4,5] [] 3");
    assert_eq!(cluster.partition("t", 0).leader_epoch.0, epoch + 1);
}

#[test]
fn a_leader_that_stays_begins_a_new_epoch_when_replicas_leave() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2]]);
    reassign(&mut cluster, "t", 0, Some(&[1, 3]));
    let epoch = cluster.partition("t", 0).leader_epoch.0;
    cluster.set_isr("t", 0, &[1, 2, 3]);
    assert_eq!(cluster.state("t", 0), "[1,3] [] 1");
    assert_eq!(cluster.partition("t", 0).leader_epoch.0, epoch + 1);
}

#[test]
fn fewer_replicas_are_enough_at_once_when_they_are_in_sync() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3]]);
    assert_eq!(reassign(&mut cluster, "t", 0, Some(&[2, 3])).0, 0);
    assert_eq!(
        (moving(&cluster, "t", 0), cluster.state("t", 0)),
        ("2,3 + -".into(), "[2,3] [] 2".into())
    );
    // Another order alone is done at once, and nobody is elected for it.
    assert_eq!(reassign(&mut cluster, "t", 0, Some(&[3, 2])).0, 0);
    assert_eq!(
        (moving(&cluster, "t", 0), cluster.state("t", 0)),
        ("3,2 + -".into(), "[2,3] [] 2".into())
    );
}

#[test]
fn what_cannot_be_a_partition_is_refused() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2]]);
    let mut code = |name: &str, index, replicas: Option<&[i32]>| {
        reassign(&mut cluster, name, index, replicas).0
    };
    let invalid = ErrorCode::InvalidReplicaAssignment.code();
    assert_eq!(code("t", 0, Some(&[])), invalid);
    assert_eq!(code("t", 0, Some(&[1, 1])), invalid);
    assert_eq!(code("t", 0, Some(&[1, 9])), invalid);
    assert_eq!(code("t", 0, Some(&[-1, 1])), invalid);
    assert_eq!(code("t", 5, Some(&[1])), ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(code("u", 0, Some(&[1])), ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(code("t", 0, None), ErrorCode::NoReassignmentInProgress.code());
    let refused = reassign_with(&mut cluster, "t", 0, Some(&[1, 2, 3]), false);
    assert_eq!(refused.0, ErrorCode::InvalidReplicationFactor.code());
    assert_eq!(reassign_with(&mut cluster, "t", 0, Some(&[1, 3]), false).0, 0);
}

#[test]
fn a_move_that_is_cancelled_leaves_what_was() {
    let mut cluster = Cluster::with_brokers(5);
    cluster.create_at("t", &[&[1, 2, 3]]);
    reassign(&mut cluster, "t", 0, Some(&[4, 5]));
    cluster.set_isr("t", 0, &[1, 2, 3, 4]);
    assert_eq!(reassign(&mut cluster, "t", 0, None), (0, String::new()));
    assert_eq!(
        (moving(&cluster, "t", 0), cluster.state("t", 0)),
        ("1,2,3 + -".into(), "[1,2,3] [] 1".into())
    );
}

#[test]
fn a_move_that_is_replaced_and_cancelled_leaves_what_was_before_both() {
    let mut cluster = Cluster::with_brokers(6);
    cluster.create_at("t", &[&[1, 2]]);
    reassign(&mut cluster, "t", 0, Some(&[3, 4]));
    cluster.set_isr("t", 0, &[1, 2, 4]);
    reassign(&mut cluster, "t", 0, Some(&[3, 5]));
    assert_eq!(moving(&cluster, "t", 0), "3,5,4,1,2 +3,5,4 -1,2,4");
    assert_eq!(cluster.state("t", 0), "[1,2,4] [] 1");
    reassign(&mut cluster, "t", 0, None);
    assert_eq!(
        (moving(&cluster, "t", 0), cluster.state("t", 0)),
        ("1,2 + -".into(), "[1,2] [] 1".into())
    );
    // Without the cancel it ends with what was asked for last.
    reassign(&mut cluster, "t", 0, Some(&[3, 4]));
    reassign(&mut cluster, "t", 0, Some(&[3, 5]));
    let last = cluster.isr_request("t", 0, &[1, 2, 3, 5]);
    cluster.alter(&last);
    assert_eq!(
        (moving(&cluster, "t", 0), cluster.state("t", 0)),
        ("3,5 + -".into(), "[3,5] [] 3".into())
    );
}

#[test]
fn a_cancel_that_would_lose_records_is_refused() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1]]);
    reassign(&mut cluster, "t", 0, Some(&[2, 3]));
    cluster.set_isr("t", 0, &[1, 2]);
    cluster.fence(1);
    assert_eq!(cluster.state("t", 0), "[2] [] 2");
    let (code, text) = reassign(&mut cluster, "t", 0, None);
    assert_eq!(code, ErrorCode::InvalidReplicaAssignment.code());
    assert!(text.contains("unclean leader election"), "{text}");
    cluster.set("t", "unclean.leader.election.enable", "true");
    assert_eq!(reassign(&mut cluster, "t", 0, None).0, ErrorCode::InvalidReplicaAssignment.code());
    cluster.start(1, super::world::Life::Clean);
    assert_eq!(reassign(&mut cluster, "t", 0, None).0, 0);
    assert_eq!(cluster.state("t", 0), "[1] [] 1");
    assert_eq!(cluster.partition("t", 0).leader_recovery_state, 1);
}

#[test]
fn a_partition_that_grows_from_one_replica_takes_writes_all_the_while() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1]]);
    reassign(&mut cluster, "t", 0, Some(&[1, 2, 3]));
    let min = kalda_metadata::config::MinInsyncReplicas::default();
    assert_eq!(min.effective(cluster.partition("t", 0).replication_factor()), 1);
    cluster.set_isr("t", 0, &[1, 2, 3]);
    assert_eq!(min.effective(cluster.partition("t", 0).replication_factor()), 2);
}

#[test]
fn moves_are_listed_while_they_last() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1], &[1]]);
    cluster.create_at("u", &[&[1]]);
    reassign(&mut cluster, "t", 1, Some(&[2]));
    let list = |topics: Option<(&str, &[i32])>| {
        let topics = topics.map(|(name, indexes)| {
            vec![ListPartitionReassignmentsTopics {
                name: name.into(),
                partition_indexes: indexes.to_vec(),
            }]
        });
        let request = ListPartitionReassignmentsRequest {
            topics,
            ..ListPartitionReassignmentsRequest::default()
        };
        cluster.controller().list_partition_reassignments(&request).topics
    };
    let all = list(None);
    assert_eq!((all.len(), all[0].name.as_str(), all[0].partitions.len()), (1, "t", 1));
    let one = &all[0].partitions[0];
    assert_eq!((one.partition_index, &one.replicas[..]), (1, &[2, 1][..]));
    assert_eq!((&one.adding_replicas[..], &one.removing_replicas[..]), (&[2][..], &[1][..]));
    assert_eq!(list(Some(("t", &[1]))), all);
    assert!(list(Some(("t", &[0]))).is_empty());
    assert!(list(Some(("nope", &[0]))).is_empty());
}

#[test]
fn directories_are_noted_and_an_offline_one_ends_the_leadership() {
    let mut cluster = Cluster::with_brokers(3);
    let mut request = cluster.registration(4, super::world::Life::Clean);
    request.log_dirs = vec![directory(4, 0), directory(4, 1)];
    cluster.register(&request);
    cluster.heartbeat(4, |_| {});
    cluster.create_at("t", &[&[4, 1, 2], &[1, 2, 3]]);
    let of = |cluster: &Cluster| cluster.partition("t", 0).directory_of(kalda_model::BrokerId(4));
    assert_eq!(of(&cluster), DirectoryId::ONE);
    assert_eq!(assign(&mut cluster, 4, "t", &[(0, directory(4, 1))]), [0]);
    assert_eq!((of(&cluster), cluster.state("t", 0)), (directory(4, 1), "[4,1,2] [] 4".into()));
    let (unknown, elsewhere, twice) = (
        ErrorCode::UnknownTopicOrPartition.code(),
        ErrorCode::NotLeaderOrFollower.code(),
        ErrorCode::InvalidRequest.code(),
    );
    let wanted = [(7, directory(4, 0)), (1, directory(4, 0)), (1, directory(4, 1))];
    assert_eq!(assign(&mut cluster, 4, "t", &wanted), [unknown, elsewhere, twice]);
    assert_eq!(assign(&mut cluster, 4, "t", &[(0, directory(4, 9))]), [0]);
    assert_eq!((of(&cluster), cluster.state("t", 0)), (directory(4, 9), "[1,2] [] 1".into()));
    cluster.fence(1);
    cluster.fence(2);
    assert_eq!(cluster.state("t", 0), "[] [1,2] -1");
    // Who cannot reach its log does not lead it, even alone; where it can again, it does.
    cluster.create_at("alone", &[&[4]]);
    assign(&mut cluster, 4, "alone", &[(0, directory(4, 9))]);
    assert_eq!(cluster.state("alone", 0), "[] [4] -1");
    assign(&mut cluster, 4, "alone", &[(0, directory(4, 0))]);
    assert_eq!(cluster.state("alone", 0), "[4] [] 4");
}

#[test]
fn who_reports_itself_lost_is_neither_in_sync_nor_eligible_while_another_can_lead() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.create_at("t", &[&[1, 2, 3]]);
    let lost = DirectoryId::LOST_DIRECTORY;
    assert_eq!(assign(&mut cluster, 1, "t", &[(0, lost)]), [0]);
    assert_eq!(cluster.state("t", 0), "[2,3] [] 2");
    // Below the minimum whoever leaves stays eligible, but not who has lost what it had.
    assert_eq!(assign(&mut cluster, 2, "t", &[(0, lost)]), [0]);
    assert_eq!(cluster.state("t", 0), "[3] [] 3");
    // The last one has all there is.
    let refused = ErrorCode::IneligibleReplica.code();
    assert_eq!(assign(&mut cluster, 3, "t", &[(0, lost)]), [refused]);
    assert_eq!(cluster.state("t", 0), "[3] [] 3");
    cluster.fence(3);
    assert_eq!(cluster.state("t", 0), "[] [3] -1");
    assert_eq!(assign(&mut cluster, 1, "t", &[(0, directory(1, 0))]), [0]);
    assert_eq!(cluster.state("t", 0), "[] [3] -1", "it may lack records");
    cluster.start(3, super::world::Life::Clean);
    assert_eq!(cluster.state("t", 0), "[3] [] 3");
    // Nobody is let in before it has a place.
    let request = cluster.isr_request("t", 0, &[3, 2]);
    assert_eq!(cluster.alter(&request).error_code, refused);
    cluster.set_isr("t", 0, &[3, 1]);
    assert_eq!(cluster.state("t", 0), "[3,1] [] 3");
}
