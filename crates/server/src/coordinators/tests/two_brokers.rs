//! Two brokers: the coordinator of a transaction is one, and leads what it writes to is the other.

use kalda_coordinator::{
    AddPartitions, GroupRequest, GroupResponse, TopicPartitions, TransactionRequest,
    TransactionResponse, TransactionShard,
};
use kalda_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kalda_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::transactions::{STATE_TOPIC, end, init, produce, stable_and_end, state, until};
use super::*;
use crate::groups::OFFSETS_TOPIC;
use crate::transactions::add_partitions;

const T: &str = "t";

/// The coordinator of all transactions, and the broker that leads everything else.
async fn coordinator_and_leader(brokers: &[Rig; 2]) -> (&Rig, &Rig) {
    let [first, second] = brokers;
    first.make_topic_at(STATE_TOPIC, second.broker.node).await;
    first.make_topic_at(OFFSETS_TOPIC, first.broker.node).await;
    first.make_topic_at(T, first.broker.node).await;
    second.know(T).await;
    (second, first)
}

#[test]
fn each_knows_who_coordinates_and_only_that_one_does() {
    let brokers = Rig::start_cluster(&[]);
    run(async {
        let (coordinator, leader) = coordinator_and_leader(&brokers).await;
        for broker in [&coordinator.broker, &leader.broker] {
            let found = broker.transactions.coordinator_of(broker, "a").await;
            assert_eq!(found, Ok(coordinator.broker.node));
            assert_eq!(broker.groups.coordinator_of(broker, "g").await, Ok(leader.broker.node));
        }
        assert_eq!(state(leader).await, Err(ErrorCode::NotCoordinator));
        let producer = init(coordinator).await.unwrap();
        assert_eq!(state(coordinator).await.as_deref(), Ok("Empty"));
        assert_eq!(init(leader).await.unwrap_err(), ErrorCode::NotCoordinator);
        // Each has its own ids.
        let another = leader.broker.producer_ids.next(&leader.broker).await.unwrap();
        assert!(another.0.abs_diff(producer.id.0) >= 900, "{another:?} {producer:?}");
        let list = TransactionRequest::List(Default::default());
        let listed = leader.broker.transactions.ask_all(&leader.broker, &caller(0), &list).await;
        assert_eq!(listed, []);
        let listed =
            coordinator.broker.transactions.ask_all(&coordinator.broker, &caller(0), &list).await;
        let [Ok(TransactionResponse::List(Ok(listed)))] = &*listed else { panic!("{listed:?}") };
        assert_eq!(listed.len(), 1);
    });
}

#[test]
fn a_transaction_spans_brokers() {
    let brokers = Rig::start_cluster(&[]);
    run(async {
        let (coordinator, leader) = coordinator_and_leader(&brokers).await;
        let mut producer = init(coordinator).await.unwrap();
        for (round, commit) in [true, false, true].into_iter().enumerate() {
            produce(leader, producer, T).await;
            let end_before = 2 * round as i64;
            assert_eq!(stable_and_end(leader, T), (end_before, end_before + 1));
            assert_eq!(end(coordinator, producer, commit).await, ErrorCode::None);
            until(coordinator, if commit { "CompleteCommit" } else { "CompleteAbort" }).await;
            assert_eq!(stable_and_end(leader, T), (end_before + 2, end_before + 2));
            producer.epoch.0 += 1;
        }
    });
}

/// Whether the first partition of `t` is part of a transaction, as the broker that leads it asks.
async fn verify(leader: &Rig, id: &str, producer: kalda_records::Producer) -> ErrorCode {
    let add = AddPartitions {
        transactional_id: id.to_owned(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        partitions: TopicPartitions::from([(T.to_owned(), [0].into())]),
        verify_only: true,
        client_version: 0,
    };
    add_partitions(&leader.broker, &caller(11), add).await[0].2
}

#[test]
fn a_coordinator_elsewhere_says_no_as_one_here() {
    let brokers = Rig::start_cluster(&[]);
    run(async {
        let (coordinator, leader) = coordinator_and_leader(&brokers).await;
        let producer = init(coordinator).await.unwrap();
        assert_eq!(verify(leader, "a", producer).await, ErrorCode::TransactionAbortable);
        assert_eq!(verify(leader, "nobody", producer).await, ErrorCode::InvalidProducerIdMapping);
        let newer = init(coordinator).await.unwrap();
        assert_eq!(verify(leader, "a", producer).await, ErrorCode::ProducerFenced);
        produce(leader, newer, T).await;
        assert_eq!(verify(leader, "a", newer).await, ErrorCode::None);
        // Many at once share a request, and each has its own answer.
        let both = tokio::join!(verify(leader, "a", newer), verify(leader, "b", newer));
        assert_eq!(both, (ErrorCode::None, ErrorCode::InvalidProducerIdMapping));
    });
}

/// KAFKA-17507, KAFKA-16352, over the wire: offsets hold when their transaction is complete, and a
/// coordinator that leads anew does what the one before it had not done.
#[test]
fn offsets_of_a_group_at_another_broker_are_part_of_the_transaction() {
    let brokers = Rig::start_cluster(&[]);
    run(async {
        let (coordinator, leader) = coordinator_and_leader(&brokers).await;
        let producer = init(coordinator).await.unwrap();
        let partition = leader.broker.groups.partition_for(&leader.broker, "g").unwrap();
        let guard = partition.begin_verification(producer.id, producer.epoch, true).unwrap();
        let add = AddPartitions {
            transactional_id: "a".to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            partitions: TopicPartitions::from([(OFFSETS_TOPIC.to_owned(), [0].into())]),
            verify_only: false,
            client_version: 2,
        };
        let added = add_partitions(&leader.broker, &caller(5), add).await;
        assert_eq!(added, [(OFFSETS_TOPIC.to_owned(), 0, ErrorCode::None)]);
        let request = GroupRequest::TxnOffsetCommit(TxnOffsetCommitRequest {
            transactional_id: "a".to_owned(),
            group_id: "g".to_owned(),
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            generation_id: -1,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: T.to_owned(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    committed_offset: 9,
                    ..TxnOffsetCommitRequestPartition::default()
                }],
            }],
            ..TxnOffsetCommitRequest::default()
        });
        let groups = &leader.broker.groups;
        let answer =
            groups.ask_in_transaction(&leader.broker, "g", &caller(5), request, guard).await;
        let Ok(GroupResponse::TxnOffsetCommit(answer)) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        assert_eq!(committed(leader).await, Err(ErrorCode::UnstableOffsetCommit));

        // The leader is not reachable for the coordinator until it leads anew.
        leader.elect(OFFSETS_TOPIC, NOBODY).await;
        let is_known = || {
            let image = coordinator.broker.image();
            image.topics.by_name(OFFSETS_TOPIC).unwrap().partitions[&0].leader == BrokerId::NONE
        };
        coordinator.broker.groups.metadata_until(is_known).await;
        assert_eq!(end(coordinator, producer, true).await, ErrorCode::None);
        assert_eq!(state(coordinator).await.as_deref(), Ok("PrepareCommit"));
        let epoch = coordinator.epoch(STATE_TOPIC);
        leader.elect(STATE_TOPIC, coordinator.broker.node.0).await;
        let is_anew = || coordinator.epoch(STATE_TOPIC) > epoch;
        coordinator.broker.transactions.metadata_until(is_anew).await;
        let old = coordinator.live::<TransactionShard>();
        old.loaded().await;
        assert_eq!(state(coordinator).await.as_deref(), Ok("PrepareCommit"));
        leader.elect(OFFSETS_TOPIC, leader.broker.node.0).await;
        until(coordinator, "CompleteCommit").await;
        assert_eq!(committed(leader).await, Ok(9));
    });
}

/// What is stable, or why that cannot be said.
async fn committed(leader: &Rig) -> Result<i64, ErrorCode> {
    let topic = OffsetFetchRequestTopics {
        name: T.to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = GroupRequest::OffsetFetch { group, require_stable: true };
    let GroupResponse::OffsetFetch(response) = super::groups::ask(leader, request, 9).await? else {
        unreachable!()
    };
    let partition = &response.topics[0].partitions[0];
    match code(partition.error_code) {
        ErrorCode::None => Ok(partition.committed_offset),
        error => Err(error),
    }
}
