//! Duplicates, gaps, epochs, markers; snapshots there and back.

use super::*;
use kalda_model::LeaderEpoch;
use kalda_records::{BatchBuilder, BatchOptions, BatchView, Producer};

fn header(id: i64, epoch: i16, base_sequence: i32, base_offset: i64, count: usize) -> BatchHeader {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer: Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence },
        base_offset: Offset(base_offset),
        leader_epoch: LeaderEpoch(0),
        ..BatchOptions::default()
    });
    for _ in 0..count {
        builder.append(500, None, None, &[]);
    }
    BatchView::new(&builder.build().unwrap()).unwrap().header()
}

fn claim(epoch: i16, base_sequence: i32, count: i32) -> Claim {
    Claim {
        producer_id: ProducerId(1),
        epoch: ProducerEpoch(epoch),
        base_sequence,
        last_sequence: sequence_plus(base_sequence, count - 1),
        is_transactional: false,
    }
}

#[test]
fn the_last_five_batches_are_known_and_no_more() {
    let mut producers = Producers::default();
    for index in 0..6 {
        producers.on_batch(&header(1, 0, index * 2, 100 + i64::from(index) * 2, 2));
    }
    for index in 1..6 {
        let admission = producers.check(&claim(0, index * 2, 2)).unwrap();
        let Admission::Duplicate(batch) = admission else { panic!("{index}: {admission:?}") };
        assert_eq!(batch.first_offset(), Offset(100 + i64::from(index) * 2));
    }
    assert!(producers.check(&claim(0, 0, 2)).is_err(), "the sixth is forgotten");
    assert!(producers.check(&claim(0, 10, 1)).is_err(), "half a batch is no duplicate");
    assert_eq!(producers.check(&claim(0, 12, 7)).unwrap(), Admission::New);
}

#[test]
fn sequences_wrap_after_the_largest() {
    let mut producers = Producers::default();
    producers.on_batch(&header(1, 0, i32::MAX - 1, 0, 3));
    let entry = producers.entry(ProducerId(1)).unwrap();
    assert_eq!(entry.last_sequence(), 0);
    assert_eq!(entry.batches[0].first_sequence(), i32::MAX - 1);
    assert!(matches!(producers.check(&claim(0, i32::MAX - 1, 3)), Ok(Admission::Duplicate(_))));
    assert_eq!(producers.check(&claim(0, 1, 1)).unwrap(), Admission::New);
    let mut producers = Producers::default();
    producers.on_batch(&header(1, 0, i32::MAX, 0, 1));
    assert_eq!(producers.check(&claim(0, 0, 1)).unwrap(), Admission::New);
}

#[test]
fn snapshots_round_trip_in_kafkas_layout() {
    let mut producers = Producers::default();
    producers.on_batch(&header(1, 3, 0, 10, 4));
    let bytes = snapshot::encode(&producers);
    assert_eq!(bytes.len(), 10 + 46);
    assert_eq!(bytes[..2], [0, 1]);
    assert_eq!(bytes[6..10], [0, 0, 0, 1]);
    assert_eq!(bytes[10..18], 1i64.to_be_bytes());
    assert_eq!(bytes[18..20], 3i16.to_be_bytes());
    assert_eq!(bytes[20..24], 3i32.to_be_bytes());
    assert_eq!(bytes[24..32], 13i64.to_be_bytes());
    assert_eq!(bytes[32..36], 3i32.to_be_bytes());
    assert_eq!(bytes[36..44], 500i64.to_be_bytes());
    assert_eq!(bytes[44..48], (-1i32).to_be_bytes());
    assert_eq!(bytes[48..56], (-1i64).to_be_bytes());
    assert_eq!(snapshot::decode(&bytes), Ok(producers));
}

#[test]
fn no_damage_to_a_snapshot_goes_unseen() {
    let mut producers = Producers::default();
    producers.on_batch(&header(1, 3, 0, 10, 4));
    let whole = snapshot::encode(&producers);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        assert!(snapshot::decode(&bytes).is_err(), "byte {at}");
        assert!(snapshot::decode(&whole[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_marker_of_its_own_epoch_is_written_once_and_ends_no_later_transaction() {
    let transactional = |epoch, base_offset| {
        let producer =
            Producer { id: ProducerId(1), epoch: ProducerEpoch(epoch), base_sequence: 0 };
        let options = BatchOptions {
            producer,
            is_transactional: true,
            base_offset: Offset(base_offset),
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::new(options);
        builder.append(500, None, None, &[]);
        BatchView::new(&builder.build().unwrap()).unwrap().header()
    };
    let marker = EndTxnMarker { committed: true, coordinator_epoch: 3 };
    let id = ProducerId(1);
    let check = |producers: &Producers, epoch| {
        producers.check_marker_of_its_own_epoch(id, ProducerEpoch(epoch), marker)
    };
    let mut producers = Producers::default();
    assert!(check(&producers, 1).unwrap(), "nothing is known that speaks against it");
    producers.on_batch(&transactional(0, 0));
    assert!(check(&producers, 0).is_err(), "the epoch of the transaction itself");
    assert!(check(&producers, 1).unwrap());
    producers.on_marker(&transactional(1, 1), marker);
    assert!(!check(&producers, 1).unwrap(), "it comes again, and is done");
    assert!(check(&producers, 0).is_err());
    producers.on_batch(&transactional(1, 2));
    assert!(check(&producers, 1).is_err(), "it comes again, and would end the next one");
    let older = EndTxnMarker { coordinator_epoch: 2, ..marker };
    let fenced = producers.check_marker_of_its_own_epoch(id, ProducerEpoch(2), older);
    assert!(matches!(fenced, Err(AppendError::TransactionCoordinatorFenced { .. })));
}

#[test]
fn a_coordinator_writes_for_a_producer_without_a_sequence() {
    let mut producers = Producers::default();
    producers.on_batch(&header(1, 2, 0, 0, 3));
    let claim = |epoch| Claim {
        base_sequence: NO_SEQUENCE,
        last_sequence: NO_SEQUENCE,
        is_transactional: true,
        ..claim(epoch, 0, 1)
    };
    assert_eq!(producers.check(&claim(2)).unwrap(), Admission::New);
    assert!(producers.check(&claim(1)).is_err(), "but not for one that is fenced");
}
