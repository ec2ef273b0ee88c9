//! Transactions as the log sees them: open, ended, aborted, found again after restarts.

use super::*;
use crate::error::AppendError;

fn end(rig: &mut Rig, id: i64, committed: bool) -> Appended {
    rig.log.append_control(marker(id, 0, committed, 0), LeaderEpoch(0), 0).unwrap()
}

#[test]
fn the_last_stable_offset_waits_for_markers_and_the_high_watermark() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&batch(2, 10, 0));
    rig.append(&transactional(1, 0, 0, 3)); // 2..=4
    rig.append(&transactional(2, 0, 0, 1)); // 5
    let stable = |rig: &Rig, high_watermark| rig.log.last_stable_offset(Offset(high_watermark)).0;
    assert_eq!(stable(&rig, 1), 1);
    assert_eq!(stable(&rig, 6), 2);
    end(&mut rig, 1, true); // 6
    assert_eq!(stable(&rig, 6), 2, "the marker is above the high watermark");
    assert_eq!(stable(&rig, 7), 5);
    end(&mut rig, 2, false); // 7
    assert_eq!(stable(&rig, 8), 8);
    rig.log.on_high_watermark(Offset(8));
    assert_eq!(rig.log.first_unstable_offset(Offset(8)), None);
}

#[test]
fn open_transactions_and_aborted_ones_are_found_again() {
    let mut rig = Rig::new(small_segments());
    rig.append(&transactional(1, 0, 0, 1)); // 0
    rig.append(&transactional(2, 0, 0, 2)); // 1..=2
    end(&mut rig, 2, false); // 3
    for index in 0..10 {
        rig.append(&batch(1, 300, index)); // 4..=13, several segments
    }
    end(&mut rig, 1, false); // 14
    rig.append(&transactional(3, 0, 0, 1)); // 15
    for restart in 0..4 {
        let aborted = rig.log.aborted_transactions(Offset(0), Offset(16)).unwrap();
        let found: Vec<_> = aborted
            .iter()
            .map(|txn| (txn.producer_id.0, txn.first_offset.0, txn.last_offset.0))
            .collect();
        assert_eq!(found, [(1, 0, 14), (2, 1, 3)], "restart {restart}");
        assert_eq!(aborted[1].last_stable_offset, Offset(0));
        let late = rig.log.aborted_transactions(Offset(4), Offset(5)).unwrap();
        assert_eq!(late.len(), 1, "one was open all the while");
        assert_eq!(rig.log.last_stable_offset(Offset(16)), Offset(15));
        match restart {
            0 => rig.close_and_reopen(),
            1 => drop(rig.reopen(Cut::Kill, after_crash(0))),
            _ => drop(rig.reopen(Cut::Kill, after_crash(15))),
        }
    }
    rig.log.truncate_to(Offset(14), 0).unwrap();
    assert_eq!(rig.log.last_stable_offset(Offset(14)), Offset(0), "its marker is gone");
    assert_eq!(rig.log.aborted_transactions(Offset(0), Offset(14)).unwrap().len(), 1);
}

#[test]
fn markers_fence_and_are_fenced() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&transactional(1, 3, 0, 1));
    let refused =
        |rig: &mut Rig, bytes| rig.log.append_control(bytes, LeaderEpoch(0), 0).unwrap_err();
    let error = refused(&mut rig, marker(1, 2, true, 5));
    assert!(matches!(error, AppendError::InvalidProducerEpoch { .. }));
    rig.log.append_control(marker(1, 4, true, 5), LeaderEpoch(0), 0).unwrap();
    let error = refused(&mut rig, marker(1, 4, true, 4));
    assert!(matches!(error, AppendError::TransactionCoordinatorFenced { .. }));
    let own = ValidBatch::own(transactional(1, 3, 1, 1)).unwrap();
    let error = rig.log.append_as_leader(own, LeaderEpoch(0), 0).unwrap_err();
    assert!(matches!(error, AppendError::InvalidProducerEpoch { .. }), "the marker bumped it");
    rig.append(&transactional(1, 4, 0, 1));
}

#[test]
fn a_plain_batch_inside_a_transaction_is_refused() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&transactional(1, 0, 0, 1));
    let own = ValidBatch::own(idempotent(1, 0, 1, 1)).unwrap();
    let error = rig.log.append_as_leader(own, LeaderEpoch(0), 0).unwrap_err();
    assert!(matches!(error, AppendError::InvalidTxnState { .. }));
}

#[test]
fn producers_expire_but_not_inside_a_transaction() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&idempotent(1, 0, 0, 1));
    rig.append(&transactional(2, 0, 0, 1));
    rig.log.expire_producers(1000 + 86_399_999);
    assert_eq!(rig.log.producers().iter().len(), 2);
    rig.log.expire_producers(1000 + 86_400_000);
    let left: Vec<_> = rig.log.producers().iter().map(|(id, _)| id.0).collect();
    assert_eq!(left, [2]);
    assert!(!rig.append(&idempotent(1, 0, 44, 1)).is_duplicate, "nothing known: any sequence");
}
