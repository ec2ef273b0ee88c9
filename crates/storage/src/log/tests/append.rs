//! Appending: idempotence across restarts, rolling, followers.

use super::*;
use crate::error::AppendError;

#[test]
fn a_duplicate_is_answered_with_its_first_offset() {
    let mut rig = Rig::new(LogConfig::default());
    let first = rig.append(&idempotent(7, 0, 0, 3));
    rig.append(&idempotent(7, 0, 3, 2));
    let again = rig.append(&idempotent(7, 0, 0, 3));
    assert!(again.is_duplicate);
    assert_eq!((again.base_offset, again.last_offset), (first.base_offset, first.last_offset));
    assert_eq!(rig.log.log_end_offset(), Offset(5));
}

fn refused(rig: &mut Rig, bytes: &Bytes) -> AppendError {
    let own = ValidBatch::own(bytes.clone()).unwrap();
    rig.log.append_as_leader(own, LeaderEpoch(0), 0).unwrap_err()
}

#[test]
fn gaps_and_old_epochs_are_refused_before_and_after_restarts() {
    for restart in [false, true] {
        let mut rig = Rig::new(LogConfig::default());
        rig.append(&idempotent(7, 1, 0, 3));
        if restart {
            rig.close_and_reopen();
        }
        let gap = refused(&mut rig, &idempotent(7, 1, 4, 1));
        assert!(
            matches!(gap, AppendError::OutOfOrderSequence { sequence: 4, last_sequence: 2, .. }),
            "{gap}"
        );
        let old = refused(&mut rig, &idempotent(7, 0, 3, 1));
        assert!(matches!(old, AppendError::InvalidProducerEpoch { .. }), "{old}");
        let new_epoch = refused(&mut rig, &idempotent(7, 2, 3, 1));
        assert!(matches!(new_epoch, AppendError::OutOfOrderSequence { .. }), "must begin at 0");
        assert!(rig.append(&idempotent(7, 1, 0, 3)).is_duplicate);
        assert!(!rig.append(&idempotent(7, 2, 0, 1)).is_duplicate);
    }
}

#[test]
fn producers_survive_a_kill_without_any_snapshot() {
    let mut rig = Rig::new(small_segments());
    for index in 0..20 {
        rig.append(&idempotent(7, 0, index * 3, 3));
    }
    let expected = rig.log.producers().clone();
    assert!(rig.log.segments().len() > 2);
    rig.reopen(Cut::Kill, after_crash(0));
    assert_eq!(rig.log.producers(), &expected);
    let half = rig.log.log_end_offset().0 / 2;
    rig.reopen(Cut::Kill, after_crash(half));
    let last = expected.entry(ProducerId(7)).unwrap().last_sequence();
    assert_eq!(rig.log.producers().entry(ProducerId(7)).unwrap().last_sequence(), last);
}

#[test]
fn producers_are_read_from_the_log_when_a_clean_close_left_no_snapshot() {
    let mut rig = Rig::new(small_segments());
    for index in 0..20 {
        rig.append(&idempotent(7, 0, index * 3, 3));
    }
    let expected = rig.log.producers().clone();
    rig.log.close_clean().unwrap();
    for offset in rig.log.snapshots().unwrap() {
        rig.disk.remove_file(&rig.path(offset, "snapshot")).unwrap();
    }
    let options = OpenOptions { clean_shutdown: true, ..after_crash(60) };
    assert_eq!(rig.reopen(Cut::Kill, options), RecoveryReport::default());
    assert_eq!(rig.log.producers(), &expected);
}

#[test]
fn truncation_takes_the_producers_back() {
    let mut rig = Rig::new(small_segments());
    for index in 0..20 {
        rig.append(&idempotent(7, 0, index * 3, 3));
    }
    rig.log.truncate_to(Offset(30), 0).unwrap();
    assert_eq!(rig.log.producers().entry(ProducerId(7)).unwrap().last_sequence(), 29);
    assert!(!rig.append(&idempotent(7, 0, 30, 1)).is_duplicate);
    rig.log.truncate_to(Offset(0), 0).unwrap();
    assert!(rig.log.producers().is_empty());
}

#[test]
fn segments_roll_by_time_of_the_records() {
    let config = LogConfig { segment_ms: 1000, ..LogConfig::default() };
    let mut rig = Rig::new(config);
    rig.append(&batch(1, 10, 5_000));
    rig.append(&batch(1, 10, 6_000));
    assert_eq!(rig.log.segments().len(), 1);
    rig.append(&batch(1, 10, 6_001));
    assert_eq!(rig.log.segments().len(), 2);
    assert!(!rig.log.roll_if_needed(7_001).unwrap());
    assert!(rig.log.roll_if_needed(7_002).unwrap());
    assert_eq!(rig.log.active_base_offset(), Offset(3));
    assert!(!rig.log.roll_if_needed(99_000).unwrap(), "an empty segment stays");
}

#[test]
fn segments_roll_when_the_index_is_full() {
    let config =
        LogConfig { segment_index_bytes: 16, index_interval_bytes: 0, ..LogConfig::default() };
    let mut rig = Rig::new(config);
    for index in 0..10 {
        rig.append(&batch(1, 10, index));
    }
    assert!(rig.log.segments().len() >= 3);
}

#[test]
fn segments_roll_before_a_relative_offset_overflows() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&batch(1, 10, 0));
    let mut far = batch(1, 10, 1).to_vec();
    let base = i64::from(i32::MAX) + 5;
    kalda_records::stamp(&mut far, Offset(base), LeaderEpoch(0));
    rig.log.append_as_follower(&far, 0).unwrap();
    assert_eq!(rig.log.active_base_offset(), Offset(base));
    assert_eq!(read(&rig.log, base, 100, i64::MAX).unwrap().base_offset, Offset(base));
    assert_eq!(read(&rig.log, 5, 100, i64::MAX).unwrap().base_offset, Offset(base));
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let mut rig = Rig::new(small_segments());
    let error = refused(&mut rig, &batch(1, 1000, 0));
    assert!(matches!(error, AppendError::LargerThanSegment { max: 1000, .. }));
}

#[test]
fn followers_keep_offsets_and_epochs_and_refuse_what_does_not_follow() {
    let mut leader = Rig::new(LogConfig::default());
    for (epoch, index) in [(3, 0), (3, 1), (5, 2)] {
        let own = ValidBatch::own(batch(2, 30, index)).unwrap();
        leader.log.append_as_leader(own, LeaderEpoch(epoch), 0).unwrap();
    }
    let bytes = read_all(&leader.log, 0);
    let mut follower = Rig::new(LogConfig::default());
    assert_eq!(follower.log.append_as_follower(&bytes, 0).unwrap(), Offset(6));
    assert_eq!(read_all(&follower.log, 0), bytes);
    assert_eq!(follower.log.epochs(), leader.log.epochs());
    assert_eq!(
        follower.log.end_offset_for_epoch(LeaderEpoch(4)),
        Some((LeaderEpoch(3), Offset(4)))
    );
    let again = follower.log.append_as_follower(&bytes, 0).unwrap_err();
    assert!(matches!(again, AppendError::UnexpectedOffset { .. }));

    let mut rotten = batch(1, 30, 9).to_vec();
    kalda_records::stamp(&mut rotten, Offset(6), LeaderEpoch(5));
    rotten[80] ^= 1;
    let error = follower.log.append_as_follower(&rotten, 0).unwrap_err();
    assert!(matches!(error, AppendError::Batch(_)), "{error}");
    assert_eq!(follower.log.log_end_offset(), Offset(6));
}

#[test]
fn epochs_are_durable_with_the_flush_and_cut_with_the_log() {
    let mut rig = Rig::new(LogConfig::default());
    rig.log.assign_epoch_start(LeaderEpoch(4));
    let own = ValidBatch::own(batch(1, 10, 0)).unwrap();
    rig.log.append_as_leader(own, LeaderEpoch(4), 0).unwrap();
    rig.log.assign_epoch_start(LeaderEpoch(6));
    assert_eq!(rig.log.latest_epoch(), Some(LeaderEpoch(6)));
    rig.log.flush().unwrap();
    let text = rig.disk.read(&Path::new(DIR).join("leader-epoch-checkpoint")).unwrap();
    assert_eq!(text, b"0\n2\n4 0\n6 1\n");
    rig.log.truncate_to(Offset(1), 0).unwrap();
    assert_eq!(rig.log.latest_epoch(), Some(LeaderEpoch(4)), "it begins at the end: KAFKA-10706");
}

#[test]
fn append_time_is_stamped_and_answered() {
    let config = LogConfig {
        timestamp_type: kalda_records::TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    let mut rig = Rig::new(config);
    let own = ValidBatch::own(batch(2, 10, 55)).unwrap();
    let appended = rig.log.append_as_leader(own, LeaderEpoch(0), 777).unwrap();
    assert_eq!(appended.log_append_time, Some(777));
    let bytes = read_all(&rig.log, 0);
    let view = kalda_records::BatchView::new(&bytes).unwrap();
    assert!(view.is_intact());
    assert!(view.records().all(|record| record.unwrap().timestamp == 777));
}

/// KAFKA-18723: a leader has nothing of a later epoch than its own; such batches are another's.
#[test]
fn kafka_18723_what_is_of_a_later_epoch_than_the_leaders_is_not_taken() {
    let mut leader = Rig::new(LogConfig::default());
    for (epoch, index) in [(3, 0), (3, 1), (5, 2)] {
        let own = ValidBatch::own(batch(2, 30, index)).unwrap();
        leader.log.append_as_leader(own, LeaderEpoch(epoch), 0).unwrap();
    }
    let bytes = read_all(&leader.log, 0);
    let mut follower = Rig::new(LogConfig::default());
    let append = |rig: &mut Rig, epoch| rig.log.append_fetched(&bytes, LeaderEpoch(epoch), 0);
    assert_eq!(append(&mut follower, 2).unwrap(), Offset(0));
    assert_eq!(append(&mut follower, 4).unwrap(), Offset(4));
    assert_eq!(follower.log.latest_epoch(), Some(LeaderEpoch(3)));
    let mut follower = Rig::new(LogConfig::default());
    assert_eq!(append(&mut follower, 5).unwrap(), Offset(6));
    assert!(!follower.log.is_flushed());
    follower.log.flush().unwrap();
    assert!(follower.log.is_flushed());
    follower.log.truncate_to(Offset(4), 0).unwrap();
    assert!(!follower.log.is_flushed(), "what was cut is to be on disk too");
}

/// KAFKA-12153: a cut takes what is known of producers back too, so that a leader's batch that follows is judged by
/// what is still there; also when it is known from a snapshot (KAFKA-12520).
#[test]
fn kafka_12153_and_12520_a_cut_takes_back_what_was_known_of_producers() {
    for restart in [false, true] {
        let mut rig = Rig::new(LogConfig::default());
        rig.append(&idempotent(7, 0, 0, 3));
        rig.append(&idempotent(7, 0, 3, 2));
        rig.append(&idempotent(8, 0, 0, 1));
        if restart {
            rig.close_and_reopen();
        }
        assert_eq!(rig.log.truncate_to(Offset(3), 0).unwrap(), Offset(3));
        assert!(rig.log.producers().entry(ProducerId(8)).is_none());
        let again = rig.append(&idempotent(7, 0, 3, 2));
        assert!(!again.is_duplicate);
        assert_eq!(again.base_offset, Offset(3));
        assert!(rig.append(&idempotent(7, 0, 0, 3)).is_duplicate);
    }
}

/// A leader's log may begin in the midst of a batch; a replica that starts over there gets all of it.
#[test]
fn an_empty_log_that_begins_in_the_midst_of_a_batch_begins_with_that_batch() {
    let mut leader = Rig::new(LogConfig::default());
    for count in [2, 6, 1] {
        leader.append(&batch(count, 10, 1));
    }
    let all = read_all(&leader.log, 0);
    let first = BatchIter::new(&all).next().unwrap().unwrap().size();
    let mut rig = Rig::new(LogConfig::default());
    rig.log.truncate_fully_and_start_at(Offset(6), 0).unwrap();
    let end = rig.log.append_fetched(&all[first..], LeaderEpoch(1), 0).unwrap();
    assert_eq!((rig.log.log_start_offset(), end), (Offset(6), Offset(9)));
    assert_eq!(read_all(&rig.log, 6), all[first..]);
    rig.log.flush().unwrap();
    let report = rig.reopen(Cut::Forget, OpenOptions { log_start: Offset(6), ..after_crash(6) });
    assert_eq!((report.torn, report.quarantined, report.missing), (None, vec![], None));
    assert_eq!((rig.log.log_start_offset(), rig.log.log_end_offset()), (Offset(6), Offset(9)));
    // Records that are there are never begun anew.
    let again = rig.log.append_fetched(&all[first..], LeaderEpoch(1), 0);
    assert!(matches!(again, Err(AppendError::UnexpectedOffset { .. })), "{again:?}");
}
