//! What is acknowledged is on all in-sync replicas, and stays there when one of them goes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use kalda_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use kalda_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kalda_protocol::messages::fetch::{FetchRequest, PartitionData};
use kalda_protocol::messages::metadata::MetadataResponsePartition;

use crate::client::{Client, batch, fetch_request, new_topic, only, produce_request, records};
use crate::rig::{Cluster, await_some};

fn create(cluster: &Cluster, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let topic = CreatableTopic { replication_factor: 3, ..new_topic(name, partitions, configs) };
    create_as(cluster, topic);
}

/// One partition on these brokers.
pub(crate) fn create_on(
    cluster: &Cluster,
    name: &str,
    broker_ids: &[i32],
    configs: &[(&str, &str)],
) {
    let assignment =
        CreatableReplicaAssignment { partition_index: 0, broker_ids: broker_ids.to_vec() };
    let topic = CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..new_topic(name, 1, configs)
    };
    create_as(cluster, topic);
}

fn create_as(cluster: &Cluster, topic: CreatableTopic) {
    let name = topic.name.clone();
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 30_000,
        ..CreateTopicsRequest::default()
    };
    let response = cluster.client(0).call(7, &request);
    let made = &response.topics[0];
    assert_eq!(made.error_code, 0, "{name}: {:?}", made.error_message);
}

fn registered(cluster: &Cluster, at: usize, topic: &str, index: i32) -> MetadataResponsePartition {
    let described = cluster.client(at).describe(topic);
    described.partitions.into_iter().find(|one| one.partition_index == index).unwrap()
}

/// The index of the node that leads, once `at` has heard of `in_sync` members of the ISR.
pub(crate) fn await_leader(cluster: &Cluster, at: usize, topic: &str, in_sync: usize) -> usize {
    await_some("a leader and its ISR", || {
        let described = cluster.client(at).describe(topic);
        let partition = described.partitions.first()?;
        let is_there = partition.isr_nodes.len() == in_sync && partition.leader_id > 0;
        let leader = is_there.then(|| usize::try_from(partition.leader_id - 1).unwrap())?;
        // It has heard of it too, and of no other.
        let known = cluster.try_client(leader)?.describe(topic);
        let is_known = known.partitions.first()?.leader_epoch == partition.leader_epoch;
        is_known.then_some(leader)
    })
}

pub(crate) fn produce(
    client: &mut Client,
    topic: &str,
    acks: i16,
    records: Bytes,
) -> (ErrorCode, i64) {
    let mut request = produce_request(topic, 0, acks, records);
    request.timeout_ms = 30_000;
    let response = client.call(9, &request);
    let answer = &response.responses[0].partition_responses[0];
    (ErrorCode::from_code(answer.error_code).unwrap(), answer.base_offset)
}

/// Begins to move the only partition of a topic.
pub(crate) fn move_to(cluster: &Cluster, topic: &str, replicas: &[i32]) {
    let partition = ReassignablePartition { partition_index: 0, replicas: Some(replicas.to_vec()) };
    let topic = ReassignableTopic { name: topic.to_owned(), partitions: vec![partition] };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![topic],
        timeout_ms: 30_000,
        ..AlterPartitionReassignmentsRequest::default()
    };
    let response = cluster.client(0).call(0, &request);
    assert_eq!(response.error_code, 0, "{response:?}");
    assert_eq!(response.responses[0].partitions[0].error_code, 0, "{response:?}");
}

/// The ISR of a topic's only partition, in order.
pub(crate) fn in_sync(cluster: &Cluster, at: usize, topic: &str) -> Vec<i32> {
    let mut isr = registered(cluster, at, topic, 0).isr_nodes;
    isr.sort_unstable();
    isr
}

/// Reads as a consumer that says where it is, and may so be served by a follower.
pub(crate) fn read_near(
    client: &mut Client,
    topic: &str,
    offset: i64,
    rack: &str,
) -> PartitionData {
    let request = FetchRequest { rack_id: rack.to_owned(), ..fetch_request(topic, 0, offset) };
    only(client.call(12, &request))
}

#[test]
fn what_is_acknowledged_is_on_every_replica() {
    let cluster = Cluster::start(3, &[]);
    create(&cluster, "t", 1, &[]);
    let leader = await_leader(&cluster, 0, "t", 3);
    let mut client = cluster.client(leader);
    for number in 0..50 {
        let produced = produce(&mut client, "t", -1, batch([format!("v{number}")]));
        assert_eq!(produced, (ErrorCode::None, number));
    }
    for at in 0..3 {
        // A follower serves whom it may, below what it knows to be committed.
        let found = await_some("the high watermark of a replica", || {
            let found = read_near(&mut cluster.client(at), "t", 0, "nowhere");
            assert_eq!(found.error_code, 0, "node {at}");
            (found.high_watermark == 50).then_some(found)
        });
        assert_eq!(records(&found.records.unwrap()).len(), 50, "node {at}");
    }
    let follower = (leader + 1) % 3;
    let refused = only(cluster.client(follower).call(10, &fetch_request("t", 0, 0)));
    assert_eq!(refused.error_code, ErrorCode::NotLeaderOrFollower.code());
}

#[test]
fn a_high_watermark_reaches_followers_long_before_their_fetch_is_over() {
    let cluster = Cluster::start(3, &[("replica.fetch.wait.max.ms", "20000")]);
    create(&cluster, "t", 1, &[]);
    let leader = await_leader(&cluster, 0, "t", 3);
    let begun = Instant::now();
    produce(&mut cluster.client(leader), "t", -1, batch(["v"]));
    let follower = (leader + 1) % 3;
    await_some("the high watermark of a follower", || {
        let found = read_near(&mut cluster.client(follower), "t", 0, "nowhere");
        (found.high_watermark == 1).then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
}

#[test]
fn a_replica_that_stops_leaves_the_isr_and_comes_back() {
    let mut cluster = Cluster::start(3, &[]);
    create(&cluster, "t", 1, &[("min.insync.replicas", "2")]);
    let leader = await_leader(&cluster, 0, "t", 3);
    let stopped = if leader == 2 { 1 } else { 2 };
    produce(&mut cluster.client(leader), "t", -1, batch(["before"]));
    cluster.stop_node(stopped);
    let leader = await_leader(&cluster, 0, "t", 2);
    let produced = produce(&mut cluster.client(leader), "t", -1, batch(["without it"]));
    assert_eq!(produced, (ErrorCode::None, 1), "by {leader} without {stopped}");
    cluster.start_node(stopped);
    await_leader(&cluster, 0, "t", 3);
    let found = await_some("the records on the one that came back", || {
        let found = read_near(&mut cluster.client(stopped), "t", 0, "nowhere");
        (found.high_watermark == 2).then_some(found)
    });
    assert_eq!(records(&found.records.unwrap()).len(), 2);
}

#[test]
fn a_replica_whose_disk_was_replaced_is_made_anew() {
    let mut cluster = Cluster::start(3, &[]);
    create(&cluster, "t", 1, &[("min.insync.replicas", "2")]);
    let leader = await_leader(&cluster, 0, "t", 3);
    // Not the controller, which is the whole quorum; it may lead.
    let replaced = if leader == 0 { 2 } else { leader };
    produce(&mut cluster.client(leader), "t", -1, batch(["before"]));
    cluster.stop_node(replaced);
    cluster.replace_disk(replaced);
    cluster.start_node(replaced);
    let leader = await_leader(&cluster, 0, "t", 3);
    assert_ne!(leader, replaced, "it may lead when the others are gone, and not before");
    let found = await_some("the record on the one that lost it", || {
        let found = read_near(&mut cluster.client(replaced), "t", 0, "nowhere");
        (found.high_watermark == 1).then_some(found)
    });
    assert_eq!(records(&found.records.unwrap()).len(), 1);
}

#[test]
fn too_few_in_sync_replicas_refuse_who_waits_for_all() {
    let mut cluster = Cluster::start(3, &[]);
    create(&cluster, "t", 1, &[("min.insync.replicas", "3")]);
    await_leader(&cluster, 0, "t", 3);
    cluster.stop_node(2);
    let leader = await_leader(&cluster, 0, "t", 2);
    let mut client = cluster.client(leader);
    let refused = await_some("the leader to hear of it", || {
        let (error, _) = produce(&mut client, "t", -1, batch(["v"]));
        (error == ErrorCode::NotEnoughReplicas).then_some(error)
    });
    assert_eq!(refused, ErrorCode::NotEnoughReplicas);
    assert_eq!(produce(&mut client, "t", 1, batch(["v"])).0, ErrorCode::None);
}

#[test]
fn another_leads_when_the_leader_stops_and_nothing_is_lost() {
    let mut cluster = Cluster::start(3, &[]);
    create(&cluster, "t", 1, &[("min.insync.replicas", "2")]);
    let mut acknowledged = 0;
    // Node 1 is the controller, and stays.
    for round in 0..4 {
        let leader = await_leader(&cluster, 0, "t", 3);
        let mut client = cluster.client(leader);
        for _ in 0..20 {
            let produced = produce(&mut client, "t", -1, batch([format!("v{acknowledged}")]));
            assert_eq!(produced, (ErrorCode::None, acknowledged), "round {round}");
            acknowledged += 1;
        }
        let stopped = if leader == 0 { 1 + round % 2 } else { leader };
        cluster.stop_node(stopped);
        let leader = await_leader(&cluster, 0, "t", 2);
        let found = await_some("the new leader's records", || {
            let found = cluster.client(leader).fetch("t", 0, 0);
            (found.error_code == 0 && found.high_watermark == acknowledged).then_some(found)
        });
        let values = records(&found.records.unwrap());
        assert_eq!(i64::try_from(values.len()).unwrap(), acknowledged, "round {round}");
        cluster.start_node(stopped);
    }
}

#[test]
fn consumers_are_sent_to_the_replica_in_their_rack() {
    let selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let cluster = Cluster::start(3, &[("replica.selector.class", selector)]);
    create(&cluster, "t", 1, &[]);
    let leader = await_leader(&cluster, 0, "t", 3);
    produce(&mut cluster.client(leader), "t", -1, batch(["v"]));
    let follower = (leader + 1) % 3;
    let mut client = cluster.client(leader);
    let near = read_near(&mut client, "t", 0, &format!("rack-{}", follower + 1));
    assert_eq!(near.preferred_read_replica, i32::try_from(follower + 1).unwrap());
    assert_eq!(near.records.map_or(0, |records| records.len()), 0);
    let here = read_near(&mut client, "t", 0, &format!("rack-{}", leader + 1));
    assert_eq!(here.preferred_read_replica, -1);
    assert_eq!(records(&here.records.unwrap()).len(), 1);
}

#[test]
fn many_partitions_are_copied_in_both_durabilities() {
    let cluster = Cluster::start(3, &[("num.replica.fetchers", "2")]);
    create(&cluster, "disk", 20, &[]);
    create(&cluster, "cache", 20, &[("flush.messages", "1000000")]);
    for topic in ["disk", "cache"] {
        await_leader(&cluster, 0, topic, 3);
        for index in 0..20 {
            let leader = usize::try_from(registered(&cluster, 0, topic, index).leader_id - 1);
            let mut client = cluster.client(leader.unwrap());
            let produced = await_some("a leader that knows it", || {
                let request = produce_request(topic, index, -1, batch(["v"]));
                let response = client.call(9, &request);
                let answer = response.responses[0].partition_responses[0].clone();
                (answer.error_code == 0).then_some(answer)
            });
            assert_eq!(produced.base_offset, 0, "{topic}-{index}");
        }
    }
}

#[test]
fn after_an_unclean_election_the_former_leader_is_cut_to_the_history_of_the_new_one() {
    let mut cluster = Cluster::start(3, &[]);
    let unclean = [("unclean.leader.election.enable", "true"), ("min.insync.replicas", "1")];
    create_on(&cluster, "t", &[2, 3], &unclean);
    let leader = await_leader(&cluster, 0, "t", 2);
    assert_eq!(leader, 1);
    assert_eq!(produce(&mut cluster.client(1), "t", -1, batch(["both"])).0, ErrorCode::None);
    cluster.stop_node(2);
    await_leader(&cluster, 0, "t", 1);
    for lost in ["lost 1", "lost 2", "lost 3"] {
        assert_eq!(produce(&mut cluster.client(1), "t", 1, batch([lost])).0, ErrorCode::None);
    }
    cluster.stop_node(1);
    cluster.start_node(2);
    let leader = await_leader(&cluster, 0, "t", 1);
    assert_eq!(leader, 2);
    assert_eq!(produce(&mut cluster.client(2), "t", -1, batch(["new"])), (ErrorCode::None, 1));
    cluster.start_node(1);
    await_leader(&cluster, 0, "t", 2);
    let found = await_some("the former leader's records", || {
        let found = read_near(&mut cluster.client(1), "t", 0, "nowhere");
        (found.high_watermark == 2).then_some(found)
    });
    let values: Vec<_> =
        records(&found.records.unwrap()).into_iter().map(|one| one.value).collect();
    assert_eq!(values, [b"both".to_vec(), b"new".to_vec()]);
}

fn delete_up_to(client: &mut Client, offset: i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic { name: "t".to_owned(), partitions }],
        timeout_ms: 30_000,
    };
    let response = client.call(2, &request);
    let answer = &response.topics[0].partitions[0];
    assert_eq!((answer.error_code, answer.low_watermark), (0, offset));
}

#[test]
fn records_are_deleted_on_every_replica_before_it_is_said() {
    let cluster = Cluster::start(3, &[]);
    create(&cluster, "t", 1, &[]);
    let leader = await_leader(&cluster, 0, "t", 3);
    let mut client = cluster.client(leader);
    for _ in 0..10 {
        produce(&mut client, "t", -1, batch(["v"]));
    }
    delete_up_to(&mut client, 6);
    for at in 0..3 {
        let found = read_near(&mut cluster.client(at), "t", 6, "nowhere");
        assert_eq!(found.log_start_offset, 6, "node {at}");
    }
}

#[test]
fn a_replica_that_missed_a_deletion_into_a_batch_is_in_sync_again() {
    let mut cluster = Cluster::start(3, &[]);
    // Who is stopped is not the controller, which has to take it out of the ISR.
    create_on(&cluster, "t", &[2, 3, 1], &[("min.insync.replicas", "1")]);
    let leader = await_leader(&cluster, 0, "t", 3);
    let stopped = 2;
    cluster.stop_node(stopped);
    let mut client = cluster.client(leader);
    let written = await_some("a record that fewer have", || {
        let (error, offset) = produce(&mut client, "t", -1, batch(["a", "b", "c", "d", "e"]));
        (error == ErrorCode::None).then_some(offset)
    });
    await_some("an ISR without it", || (in_sync(&cluster, leader, "t").len() == 2).then_some(()));
    delete_up_to(&mut client, written + 3);
    cluster.start_node(stopped);
    await_some("all in sync", || (in_sync(&cluster, leader, "t") == [1, 2, 3]).then_some(()));
    let found = read_near(&mut cluster.client(stopped), "t", written + 3, "nowhere");
    assert_eq!((found.error_code, found.log_start_offset), (0, written + 3));
}

#[test]
fn a_partition_that_moves_is_copied_first_and_then_gone() {
    let cluster = Cluster::start(3, &[]);
    create_on(&cluster, "t", &[2, 3], &[]);
    await_leader(&cluster, 0, "t", 2);
    let mut client = cluster.client(1);
    for number in 0..10 {
        assert_eq!(produce(&mut client, "t", -1, batch(["v"])), (ErrorCode::None, number));
    }
    assert!(cluster.has_log(2, "t-0"));
    move_to(&cluster, "t", &[1, 2]);
    await_some("the end of the move", || (in_sync(&cluster, 0, "t") == [1, 2]).then_some(()));
    let found = await_some("the records where they moved", || {
        let found = read_near(&mut cluster.client(0), "t", 0, "nowhere");
        (found.high_watermark == 10).then_some(found)
    });
    assert_eq!(records(&found.records.unwrap()).len(), 10);
    await_some("the former replica to give up its log", || {
        (!cluster.has_log(2, "t-0")).then_some(())
    });
    let refused = read_near(&mut cluster.client(2), "t", 0, "nowhere");
    assert_eq!(refused.error_code, ErrorCode::NotLeaderOrFollower.code());
}
