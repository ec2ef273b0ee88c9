//! Transactions whose coordinator moves, and whose partitions do.

use kalda_coordinator::{
    AddPartitions, TopicPartitions, TransactionRequest, TransactionResponse, TransactionShard,
};
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::messages::end_txn::EndTxnRequest;
use kalda_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use kalda_records::{BatchBuilder, BatchOptions, Producer, ValidBatch};
use kalda_replication::Acks;

use super::*;
use crate::hosted::{Appending, ProduceWaits};
use crate::transactions::{Marker, MarkersToWrite, add_partitions, write_markers};

pub(super) const STATE_TOPIC: &str = "__transaction_state";

pub(super) async fn ask(
    rig: &Rig,
    request: TransactionRequest,
) -> Result<TransactionResponse, ErrorCode> {
    rig.broker.transactions.ask(&rig.broker, "a", &caller(5), request).await
}

/// A producer takes the transactional id over.
pub(super) async fn init(rig: &Rig) -> Result<Producer, ErrorCode> {
    let request = InitProducerIdRequest {
        transactional_id: Some("a".to_owned()),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let asked = |spare| TransactionRequest::InitProducerId { request: request.clone(), spare };
    let mut answer = ask(rig, asked(None)).await?;
    if answer == TransactionResponse::NeedsProducerId {
        let spare = rig.broker.producer_ids.next(&rig.broker).await?;
        answer = ask(rig, asked(Some(spare))).await?;
    }
    let TransactionResponse::InitProducerId(InitProducerIdResponse {
        error_code,
        producer_id,
        producer_epoch,
        ..
    }) = answer
    else {
        unreachable!()
    };
    match code(error_code) {
        ErrorCode::None => Ok(Producer {
            id: ProducerId(producer_id),
            epoch: ProducerEpoch(producer_epoch),
            base_sequence: 0,
        }),
        error => Err(error),
    }
}

/// Adds the first partition of `topic` to the producer's transaction.
pub(super) async fn add(rig: &Rig, producer: Producer, topic: &str) -> ErrorCode {
    let add = AddPartitions {
        transactional_id: "a".to_owned(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        partitions: TopicPartitions::from([(topic.to_owned(), [0].into())]),
        verify_only: false,
        client_version: 2,
    };
    add_partitions(&rig.broker, &caller(12), add).await[0].2
}

/// Writes a record in the producer's transaction.
pub(super) async fn produce(rig: &Rig, producer: Producer, topic: &str) {
    assert_eq!(try_produce(rig, producer, topic).await, ErrorCode::None);
}

/// The same, or why the coordinator does not let it in.
pub(super) async fn try_produce(rig: &Rig, producer: Producer, topic: &str) -> ErrorCode {
    let hosted = rig.hosted(topic);
    let guard = hosted.begin_verification(producer.id, producer.epoch, true).unwrap();
    let added = add(rig, producer, topic).await;
    if added != ErrorCode::None {
        return added;
    }
    let options = BatchOptions { producer, is_transactional: true, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    builder.append(1, None, Some(b"x"), &[]);
    let waits = ProduceWaits::default();
    let appending = Appending {
        acks: Acks::All,
        now_ms: 1,
        is_zstd_allowed: true,
        waits: &waits,
        slot: 0,
        guard,
    };
    let batch = ValidBatch::own(builder.build().unwrap()).unwrap();
    hosted.append_valid(batch, &appending).unwrap();
    waits.into_pending().unwrap().done().await;
    ErrorCode::None
}

pub(super) async fn end(rig: &Rig, producer: Producer, committed: bool) -> ErrorCode {
    let request = EndTxnRequest {
        transactional_id: "a".to_owned(),
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0,
        committed,
    };
    let request = TransactionRequest::EndTxn { request, spare: None, client_version: 2 };
    match ask(rig, request).await {
        Ok(TransactionResponse::EndTxn(response)) => code(response.error_code),
        Ok(_) => unreachable!(),
        Err(error) => error,
    }
}

pub(super) async fn state(rig: &Rig) -> Result<String, ErrorCode> {
    match ask(rig, TransactionRequest::Describe("a".to_owned())).await? {
        TransactionResponse::Describe(described) => Ok(described.transaction_state),
        _ => unreachable!(),
    }
}

/// Returns when the transaction stands as said.
pub(super) async fn until(rig: &Rig, expected: &str) {
    while state(rig).await.as_deref() != Ok(expected) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The first record that a reader of committed ones does not see, and the end of the log.
pub(super) fn stable_and_end(rig: &Rig, topic: &str) -> (i64, i64) {
    let hosted = rig.hosted(topic);
    let offsets = hosted.with_log(|log, partition| {
        (log.last_stable_offset(partition.high_watermark()).0, log.log_end_offset().0)
    });
    offsets.unwrap()
}

pub(super) async fn begun(rig: &Rig) -> Producer {
    let found = rig.broker.transactions.coordinator_of(&rig.broker, "a").await;
    assert_eq!(found, Ok(rig.broker.node));
    rig.make_topic("t").await;
    let producer = init(rig).await.unwrap();
    produce(rig, producer, "t").await;
    producer
}

/// Redpanda 6018: an open transaction is known to whoever coordinates it next.
#[test]
fn an_open_transaction_goes_on_at_the_next_coordinator() {
    let rig = Rig::start(&[]);
    run(async {
        let producer = begun(&rig).await;
        rig.move_to::<TransactionShard>(NOBODY).await;
        assert_eq!(state(&rig).await, Err(ErrorCode::NotCoordinator));
        assert_eq!(add(&rig, producer, "t").await, ErrorCode::CoordinatorNotAvailable);
        assert_eq!(end(&rig, producer, true).await, ErrorCode::NotCoordinator);
        rig.move_to::<TransactionShard>(rig.broker.node.0).await;
        assert_eq!(state(&rig).await.as_deref(), Ok("Ongoing"));
        assert_eq!(stable_and_end(&rig, "t"), (0, 1));
        assert_eq!(end(&rig, producer, true).await, ErrorCode::None);
        until(&rig, "CompleteCommit").await;
        assert_eq!(stable_and_end(&rig, "t"), (2, 2));
    });
}

/// KAFKA-16352: a transaction whose end is decided waits for a partition without a leader, over a
/// change of its coordinator, and ends when there is a leader again.
#[test]
fn a_decided_end_reaches_a_partition_that_had_no_leader() {
    let rig = Rig::start(&[]);
    run(async {
        let producer = begun(&rig).await;
        rig.elect("t", NOBODY).await;
        assert_eq!(end(&rig, producer, true).await, ErrorCode::None);
        assert_eq!(state(&rig).await.as_deref(), Ok("PrepareCommit"));
        rig.move_away_and_back::<TransactionShard>().await;
        assert_eq!(state(&rig).await.as_deref(), Ok("PrepareCommit"));
        assert_eq!(stable_and_end(&rig, "t").1, 1);
        rig.elect("t", rig.broker.node.0).await;
        until(&rig, "CompleteCommit").await;
        // One marker, although two coordinators were to write it.
        assert_eq!(stable_and_end(&rig, "t"), (2, 2));
        let epoch = rig.epoch(STATE_TOPIC).0;
        let hosted = rig.hosted("t");
        let of_marker = hosted.with_log(|log, _| {
            log.producers().entry(producer.id).map(|entry| entry.coordinator_epoch)
        });
        assert_eq!(of_marker, Ok(Some(epoch)), "the marker is of the second coordinator");
    });
}

#[test]
fn a_marker_of_an_older_coordinator_is_refused() {
    let rig = Rig::start(&[]);
    run(async {
        let producer = begun(&rig).await;
        rig.move_away_and_back::<TransactionShard>().await;
        assert_eq!(end(&rig, producer, false).await, ErrorCode::None);
        until(&rig, "CompleteAbort").await;
        let written = stable_and_end(&rig, "t");
        let marker = Marker {
            producer_id: producer.id,
            producer_epoch: ProducerEpoch(producer.epoch.0 + 5),
            end: kalda_records::EndTxnMarker {
                committed: true,
                coordinator_epoch: rig.epoch(STATE_TOPIC).0 - 1,
            },
            transaction_version: 2,
        };
        let partitions = TopicPartitions::from([("t".to_owned(), [0].into())]);
        let refused = write_markers(&rig.broker, &[MarkersToWrite { marker, partitions }]).await;
        let fenced = ErrorCode::TransactionCoordinatorFenced;
        assert_eq!(refused, [vec![("t".to_owned(), 0, fenced)]]);
        assert_eq!(stable_and_end(&rig, "t"), written);
    });
}

/// A decision that is in the log is carried out once it is committed, however long that takes and
/// whatever its producer was told meanwhile.
#[test]
fn an_end_that_is_committed_late_is_carried_out() {
    let rig = Rig::start(&[("request.timeout.ms", "1500")]);
    run(async {
        let producer = begun(&rig).await;
        let us = rig.broker.node.0;
        // In sync with a broker that does not answer: nothing is committed.
        let behind = PartitionChangeRecord {
            replicas: Some(vec![us, us + 1]),
            isr: Some(vec![us, us + 1]),
            ..PartitionChangeRecord::default()
        };
        rig.change(STATE_TOPIC, behind).await;
        assert_eq!(end(&rig, producer, true).await, ErrorCode::CoordinatorNotAvailable);
        assert_eq!(stable_and_end(&rig, "t"), (0, 1), "no marker before that");
        let alone =
            PartitionChangeRecord { isr: Some(vec![us]), ..PartitionChangeRecord::default() };
        rig.change(STATE_TOPIC, alone).await;
        until(&rig, "CompleteCommit").await;
        assert_eq!(stable_and_end(&rig, "t"), (2, 2));
    });
}

#[test]
fn too_few_replicas_of_the_log_refuse_every_step() {
    let rig = Rig::start(&[]);
    run(async {
        let producer = begun(&rig).await;
        let us = rig.broker.node.0;
        set_min_isr(&rig, STATE_TOPIC, "2").await;
        let two = PartitionChangeRecord {
            replicas: Some(vec![us, us + 1]),
            ..PartitionChangeRecord::default()
        };
        rig.change(STATE_TOPIC, two).await;
        rig.make_topic("u").await;
        let refused = ErrorCode::CoordinatorNotAvailable;
        assert_eq!(add(&rig, producer, "u").await, refused);
        assert_eq!(end(&rig, producer, true).await, refused);
        assert_eq!(state(&rig).await.as_deref(), Ok("Ongoing"));
        set_min_isr(&rig, STATE_TOPIC, "1").await;
        assert_eq!(end(&rig, producer, true).await, ErrorCode::None);
        until(&rig, "CompleteCommit").await;
    });
}
