//! Events in, batches out: lingering, room, order over retries, sequences.

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_records::BatchView;

use super::*;

const IDENTITY: Option<Identity> = Some(Identity { id: ProducerId(9), epoch: ProducerEpoch(0) });
const ACKNOWLEDGED: Acknowledged = Acknowledged { base_offset: Some(100), append_time: None };

fn limits() -> Limits {
    Limits {
        batch_size: 300,
        linger_ms: 10,
        buffer_memory: 10_000,
        delivery_timeout_ms: 1000,
        retries: 3,
        options: BatchOptions::default(),
    }
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("t", index)
}

type Receiver = oneshot::Receiver<Result<RecordMetadata>>;

fn append(accumulator: &mut Accumulator, index: i32, bytes: usize, now: i64) -> Option<Receiver> {
    let record = Record::to("t").value(vec![7; bytes]);
    let size = record.size_max();
    match accumulator.append(&partition(index), &record, size, 5, now).unwrap() {
        Appended::Taken { delivery, .. } => Some(delivery),
        Appended::NoRoom => None,
    }
}

fn drain_one(accumulator: &mut Accumulator, now: i64) -> Option<Drained> {
    let (ready, _) = accumulator.ready(now);
    let mut drained = accumulator.drain(&ready, 1, IDENTITY);
    assert!(drained.len() <= 1);
    drained.pop()
}

#[test]
fn a_batch_lingers_unless_it_is_full_or_a_flush_runs() {
    let mut accumulator = Accumulator::new(limits());
    append(&mut accumulator, 0, 10, 0);
    assert_eq!(accumulator.ready(9), (vec![], Some(10)));
    assert_eq!(accumulator.ready(10).0, [partition(0)]);
    accumulator.begin_flush();
    assert_eq!(accumulator.ready(0).0, [partition(0)]);
    accumulator.end_flush();
    append(&mut accumulator, 0, 250, 1);
    assert_eq!(accumulator.ready(1).0, [partition(0)]);
}

#[test]
fn records_join_a_batch_and_are_answered_with_their_offsets() {
    let mut accumulator = Accumulator::new(limits());
    let mut first = append(&mut accumulator, 0, 10, 0).unwrap();
    let mut second = append(&mut accumulator, 0, 10, 3).unwrap();
    let drained = drain_one(&mut accumulator, 10).unwrap();
    assert_eq!(BatchView::new(&drained.bytes).unwrap().count(), 2);
    accumulator.acknowledge(drained.batch, ACKNOWLEDGED);
    assert_eq!(first.try_recv().unwrap().unwrap().offset, Some(100));
    assert_eq!(second.try_recv().unwrap().unwrap().offset, Some(101));
    assert_eq!(accumulator.used, 0);
    assert!(accumulator.is_done_up_to(1));
}

#[test]
fn a_full_buffer_takes_nothing_until_a_batch_is_done() {
    let mut accumulator = Accumulator::new(Limits { buffer_memory: 400, ..limits() });
    append(&mut accumulator, 0, 200, 0).unwrap();
    assert!(append(&mut accumulator, 1, 200, 0).is_none());
    // Who starves does not linger.
    let drained = drain_one(&mut accumulator, 0).unwrap();
    accumulator.acknowledge(drained.batch, ACKNOWLEDGED);
    assert!(append(&mut accumulator, 1, 200, 0).is_some());
}

#[test]
fn a_retry_goes_first_and_alone() {
    let mut accumulator = Accumulator::new(limits());
    for _ in 0..3 {
        append(&mut accumulator, 0, 200, 0).unwrap();
    }
    let first = drain_one(&mut accumulator, 20).unwrap();
    let second = drain_one(&mut accumulator, 20).unwrap();
    assert!(accumulator.is_behind_another(&second.batch));
    assert!(!accumulator.is_behind_another(&first.batch));
    accumulator.put_back(second.batch, 30);
    // While the first is in flight, neither the second nor the third may pass.
    assert!(drain_one(&mut accumulator, 50).is_none());
    accumulator.put_back(first.batch, 60);
    assert!(drain_one(&mut accumulator, 59).is_none());
    let mut sequences = Vec::new();
    for _ in 0..3 {
        let drained = drain_one(&mut accumulator, 60).unwrap();
        sequences.push(BatchView::new(&drained.bytes).unwrap().base_sequence());
        accumulator.acknowledge(drained.batch, ACKNOWLEDGED);
    }
    assert_eq!(sequences, [0, 1, 2]);
}

#[test]
fn retries_and_the_delivery_timeout_end() {
    let mut accumulator = Accumulator::new(limits());
    append(&mut accumulator, 0, 200, 0).unwrap();
    let mut drained = drain_one(&mut accumulator, 20).unwrap();
    assert!(accumulator.may_retry(&drained.batch, 999));
    assert!(!accumulator.may_retry(&drained.batch, 1000));
    drained.batch.attempts = 4;
    assert!(!accumulator.may_retry(&drained.batch, 20));
}

#[test]
fn a_batch_that_waits_too_long_expires_with_javas_words() {
    let mut accumulator = Accumulator::new(limits());
    let mut delivery = append(&mut accumulator, 0, 10, 0).unwrap();
    assert_eq!(accumulator.next_expiry_ms(), Some(1000));
    assert!(!accumulator.expire(999));
    assert!(!accumulator.expire(1001), "it was never sent, so nothing is in doubt");
    let error = delivery.try_recv().unwrap().unwrap_err();
    let text = "Expiring 1 record(s) for t-0:1001 ms has passed since batch creation";
    assert_eq!(error, Error::Timeout(text.to_owned()));
    assert_eq!(accumulator.used, 0);
}

#[test]
fn a_new_identity_starts_sequences_anew() {
    let mut accumulator = Accumulator::new(limits());
    append(&mut accumulator, 0, 200, 0).unwrap();
    append(&mut accumulator, 0, 200, 0).unwrap();
    let first = drain_one(&mut accumulator, 20).unwrap();
    accumulator.acknowledge(first.batch, ACKNOWLEDGED);
    let second = drain_one(&mut accumulator, 20).unwrap();
    assert_eq!(second.batch.base_sequence, Some(1));
    accumulator.put_back(second.batch, 20);
    accumulator.reset_sequences();
    let again = drain_one(&mut accumulator, 20).unwrap();
    assert_eq!(BatchView::new(&again.bytes).unwrap().base_sequence(), 0);
}

#[test]
fn partitions_take_turns() {
    let mut accumulator = Accumulator::new(limits());
    for index in [0, 0, 1] {
        append(&mut accumulator, index, 200, 0).unwrap();
    }
    let turns: Vec<i32> = (0..3)
        .map(|_| drain_one(&mut accumulator, 20).unwrap().batch.partition.partition)
        .collect();
    assert_eq!(turns, [0, 1, 0]);
}

#[test]
fn closed_means_no_more_records_and_no_more_lingering() {
    let mut accumulator = Accumulator::new(limits());
    append(&mut accumulator, 0, 10, 0).unwrap();
    accumulator.close();
    assert_eq!(accumulator.ready(0).0, [partition(0)]);
    let record = Record::to("t");
    let refused = accumulator.append(&partition(0), &record, 10, 0, 0).unwrap_err();
    assert_eq!(refused, Error::Closed);
    assert!(!accumulator.is_over());
    accumulator.fail_all(&Error::Closed);
    assert!(accumulator.is_over());
}

#[test]
fn what_fails_in_a_transaction_forbids_its_commit_and_takes_the_rest_along() {
    use crate::producer::transaction::state::{Outcome, Protocol};
    let options = BatchOptions { is_transactional: true, ..BatchOptions::default() };
    let mut accumulator = Accumulator::new(Limits { options, ..limits() });
    let record = Record::to("t").value("x");
    let refused = accumulator.append(&partition(0), &record, 10, 0, 0);
    assert!(refused.is_err(), "no transaction is open");
    let transaction = accumulator.transaction().unwrap();
    transaction.on_ended(IDENTITY, Protocol::Implicit);
    transaction.begin().unwrap();
    append(&mut accumulator, 0, 10, 0).unwrap();
    let sent = drain_one(&mut accumulator, 10).unwrap();
    assert!(BatchView::new(&sent.bytes).unwrap().is_transactional());
    let mut waiting = append(&mut accumulator, 1, 10, 10).unwrap();
    accumulator.transaction().unwrap().begin_end(Outcome::Commit).unwrap();
    assert!(accumulator.may_retry(&sent.batch, 20));
    accumulator.refuse(sent.batch, Error::Closed);
    assert!(accumulator.transaction().unwrap().ending(Outcome::Commit).is_err());
    accumulator.drop_if_failed();
    assert_eq!(waiting.try_recv().unwrap(), Err(Error::Closed));
    assert!(accumulator.is_done_up_to(2));
}
