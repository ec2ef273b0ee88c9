//! What compaction keeps and drops, and when.

use std::ops::ControlFlow;

use kalda_records::{BatchView, Compression, NewHeader};

use super::*;
use crate::error::AppendError;

pub(super) const UNBOUNDED: usize = usize::MAX;

pub(super) fn compacted() -> LogConfig {
    let cleanup_policy = crate::CleanupPolicy { delete: false, compact: true };
    LogConfig { cleanup_policy, min_cleanable_dirty_ratio: 0, ..small_segments() }
}

/// One record, as a reader sees it: offset, key, value.
pub(super) type Seen = (i64, String, Option<String>);

pub(super) fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Compacts up to the log's end, if there is anything to be done. Answers how many segments were
/// swapped in.
pub(super) fn compact(log: &mut Log, map_bytes: usize, now_ms: i64) -> Result<usize, CompactError> {
    let Some(compaction) = log.plan_compaction(log.log_end_offset(), now_ms)? else {
        return Ok(0);
    };
    let mut rewriting = compaction.map_keys(map_bytes, &mut go_on)?;
    let mut swapped = 0;
    while let Some(rewritten) = rewriting.rewrite_next(&mut go_on)? {
        assert!(log.swap_in(rewritten, now_ms)?);
        swapped += 1;
    }
    log.on_compacted(&rewriting);
    Ok(swapped)
}

pub(super) fn seen(log: &Log) -> Vec<Seen> {
    let bytes = read_all(log, log.log_start_offset().0);
    let mut seen = Vec::new();
    for batch in BatchIter::new(&bytes) {
        let view = batch.unwrap();
        assert!(view.is_intact());
        if view.is_control() {
            continue;
        }
        let plain = match view.compression().unwrap() {
            Compression::None => view.payload().to_vec(),
            codec => {
                kalda_records::compression::decompress(codec, view.payload(), 1 << 20).unwrap()
            }
        };
        for record in kalda_records::RecordIter::new(&plain, &view.header()) {
            let record = record.unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let key = record.key.map_or_else(String::new, text);
            seen.push((record.offset.0, key, record.value.map(text)));
        }
    }
    seen
}

pub(super) fn keyed(options: BatchOptions, records: &[(&str, Option<&str>)], at_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (key, value) in records {
        let key = (!key.is_empty()).then_some(key.as_bytes());
        builder.append(at_ms, key, value.map(str::as_bytes), &[]);
    }
    builder.build().unwrap()
}

fn put(rig: &mut Rig, records: &[(&str, Option<&str>)]) -> i64 {
    rig.append(&keyed(BatchOptions::default(), records, 1000)).base_offset.0
}

fn of_producer(id: i64, base_sequence: i32, is_transactional: bool) -> BatchOptions {
    let producer = Producer { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence };
    BatchOptions { producer, is_transactional, ..BatchOptions::default() }
}

fn roll(rig: &mut Rig) {
    rig.log.roll_at(rig.log.log_end, 0).unwrap();
}

fn offsets(rig: &Rig) -> Vec<i64> {
    seen(&rig.log).iter().map(|(offset, _, _)| *offset).collect()
}

fn batches(rig: &Rig) -> Vec<kalda_records::BatchHeader> {
    let bytes = read_all(&rig.log, 0);
    BatchIter::new(&bytes).map(|batch| batch.unwrap().header()).collect()
}

#[test]
fn the_last_record_of_each_key_stays_at_its_offset() {
    let mut rig = Rig::new(compacted());
    put(&mut rig, &[("a", Some("1")), ("b", Some("1")), ("", Some("keyless"))]); // 0..=2
    roll(&mut rig);
    put(&mut rig, &[("a", Some("2")), ("c", Some("1"))]); // 3..=4
    roll(&mut rig);
    put(&mut rig, &[("c", Some("active"))]); // 5
    assert_eq!(compact(&mut rig.log, UNBOUNDED, 0).unwrap(), 1);
    let expected = [(1, "b", "1"), (3, "a", "2"), (4, "c", "1"), (5, "c", "active")];
    let expected = expected.map(|(o, k, v)| (o, k.to_owned(), Some(v.to_owned())));
    assert_eq!(seen(&rig.log), expected);
    assert_eq!(rig.log.segments().len(), 2, "two small ones became one");
    assert_eq!(rig.log.cleaner_offset(), Offset(5));
    assert_eq!(compact(&mut rig.log, UNBOUNDED, 0).unwrap(), 0, "nothing is dirty");
    for from in 0..=5 {
        let slice = read(&rig.log, from, 1000, 6).unwrap();
        let last =
            BatchIter::new(&slice.read_bytes().unwrap()).last().unwrap().unwrap().next_offset();
        assert!(last.0 > from);
    }
    rig.close_and_reopen();
    assert_eq!(seen(&rig.log), expected);
    rig.reopen(Cut::Kill, after_crash(0));
    assert_eq!(seen(&rig.log), expected);
}

#[test]
fn nothing_above_the_high_watermark_or_of_an_open_transaction_or_too_young_is_touched() {
    let mut rig = Rig::new(LogConfig { min_compaction_lag_ms: 500, ..compacted() });
    for value in ["1", "2", "3"] {
        put(&mut rig, &[("a", Some(value)), ("a", Some(value))]); // up to 5
        roll(&mut rig);
    }
    assert!(rig.log.plan_compaction(Offset(6), 1499).unwrap().is_none(), "too young");
    assert!(rig.log.plan_compaction(Offset(1), 1500).unwrap().is_none(), "not one whole segment");
    let range = |rig: &mut Rig, high_watermark| {
        let plan = rig.log.plan_compaction(Offset(high_watermark), 1500).unwrap();
        plan.map(|plan| (plan.range().0.0, plan.range().1.0))
    };
    assert_eq!(range(&mut rig, 3), Some((0, 2)));
    assert_eq!(range(&mut rig, 6), Some((0, 6)));
    rig.append(&keyed(of_producer(1, 0, true), &[("a", Some("4"))], 1000)); // 6
    roll(&mut rig);
    put(&mut rig, &[("a", Some("5"))]);
    roll(&mut rig);
    assert_eq!(range(&mut rig, 8), Some((0, 6)), "the transaction at 6 is open");
    rig.log.append_control(marker(1, 0, true, 0), LeaderEpoch(0), 0).unwrap(); // 8
    roll(&mut rig);
    assert_eq!(range(&mut rig, 8), Some((0, 6)), "its marker is above the high watermark");
    assert_eq!(range(&mut rig, 9), Some((0, 8)), "the marker itself is too young");
}

#[test]
fn the_dirty_ratio_and_the_longest_wait_decide() {
    let half = LogConfig { min_cleanable_dirty_ratio: 500_000, ..compacted() };
    let mut rig = Rig::new(LogConfig { max_compaction_lag_ms: 5_000, ..half });
    for _ in 0..4 {
        put(&mut rig, &[("a", Some("1")), ("b", Some("1"))]);
        put(&mut rig, &[("c", Some("1")), ("d", Some("1"))]);
        roll(&mut rig);
    }
    compact(&mut rig.log, UNBOUNDED, 2000).unwrap();
    assert_eq!(rig.log.cleaner_offset(), Offset(16));
    put(&mut rig, &[("a", Some("2"))]);
    roll(&mut rig);
    let end = rig.log.log_end_offset();
    assert!(rig.log.plan_compaction(end, 6_000).unwrap().is_none());
    assert!(rig.log.plan_compaction(end, 6_001).unwrap().is_some(), "waited for longer than 5 s");
    put(&mut rig, &[("a", Some("3"))]);
    let rolled = rig.log.segments().len();
    rig.log.plan_compaction(end, 6_001).unwrap();
    assert_eq!(rig.log.segments().len(), rolled + 1, "the active one waits no longer than that");
}

#[test]
fn a_tombstone_stays_until_its_horizon_and_no_longer() {
    let mut rig = Rig::new(LogConfig { delete_retention_ms: 100, ..compacted() });
    put(&mut rig, &[("a", Some("1")), ("b", Some("1"))]); // 0..=1
    put(&mut rig, &[("a", None), ("c", Some("1"))]); // 2..=3
    roll(&mut rig);
    compact(&mut rig.log, UNBOUNDED, 5_000).unwrap();
    assert_eq!(offsets(&rig), [1, 2, 3]);
    let horizon = |rig: &Rig| {
        let bytes = read_all(&rig.log, 2);
        BatchView::new(&bytes).unwrap().delete_horizon_ms()
    };
    assert_eq!(horizon(&rig), Some(5_100));
    for (now_ms, left) in [(5_099, vec![1, 2, 3, 4]), (5_100, vec![1, 3, 4, 5])] {
        put(&mut rig, &[(&format!("x{now_ms}"), Some("1"))]);
        roll(&mut rig);
        compact(&mut rig.log, UNBOUNDED, now_ms).unwrap();
        assert_eq!(offsets(&rig), left, "at {now_ms}");
        assert_eq!(horizon(&rig), Some(5_100), "set once");
    }
    let bytes = read_all(&rig.log, 2);
    let view = BatchView::new(&bytes).unwrap();
    assert_eq!(view.records().next().unwrap().unwrap().timestamp, 1000);
}

#[test]
fn aborted_records_go_and_markers_follow_when_nothing_is_left() {
    let mut rig = Rig::new(LogConfig { delete_retention_ms: 100, ..compacted() });
    put(&mut rig, &[("a", Some("kept"))]); // 0
    rig.append(&keyed(of_producer(1, 0, true), &[("a", Some("aborted"))], 1000)); // 1
    rig.append(&keyed(of_producer(2, 0, true), &[("b", Some("committed"))], 1000)); // 2
    rig.log.append_control(marker(1, 0, false, 0), LeaderEpoch(0), 0).unwrap(); // 3
    rig.log.append_control(marker(2, 0, true, 0), LeaderEpoch(0), 0).unwrap(); // 4
    // The producers go on, so that these batches are not their last.
    rig.append(&keyed(of_producer(1, 1, false), &[("c", Some("1"))], 1000)); // 5
    rig.append(&keyed(of_producer(2, 1, false), &[("d", Some("1"))], 1000)); // 6
    rig.log.on_high_watermark(Offset(7));
    roll(&mut rig);
    let aborted = |rig: &Rig| rig.log.aborted_transactions(Offset(0), Offset(7)).unwrap().len();
    let markers = |rig: &Rig| -> Vec<i64> {
        let control = batches(rig).into_iter().filter(kalda_records::BatchHeader::is_control);
        control.map(|header| header.base_offset.0).collect()
    };
    assert_eq!(aborted(&rig), 1);
    compact(&mut rig.log, UNBOUNDED, 1_000).unwrap();
    assert_eq!(offsets(&rig), [0, 2, 5, 6], "the aborted value never hides the one before it");
    assert_eq!((markers(&rig), aborted(&rig)), (vec![3, 4], 1));

    let round = |rig: &mut Rig, key: &str, now_ms| {
        put(rig, &[(key, Some("1"))]);
        rig.log.on_high_watermark(rig.log.log_end_offset());
        roll(rig);
        compact(&mut rig.log, UNBOUNDED, now_ms).unwrap();
    };
    round(&mut rig, "x", 2_000); // Nothing of the aborted one is left: its marker gets a horizon.
    assert_eq!((markers(&rig), aborted(&rig)), (vec![3, 4], 0));
    round(&mut rig, "y", 2_099);
    assert_eq!(markers(&rig), [3, 4]);
    round(&mut rig, "z", 2_100);
    assert_eq!(markers(&rig), [4], "the committed record at 2 is still there");
    round(&mut rig, "b", 3_000); // 10 takes the place of 2.
    round(&mut rig, "u", 4_000);
    round(&mut rig, "v", 5_000);
    assert_eq!(markers(&rig), [0_i64; 0]);
    let report = rig.reopen(Cut::Kill, after_crash(0));
    assert_eq!((report.torn, report.missing), (None, None));
    assert_eq!(rig.log.first_unstable_offset(rig.log.log_end_offset()), None);
}

#[test]
fn a_producers_state_survives_compaction_and_a_restart_without_snapshots() {
    let mut rig = Rig::new(compacted());
    let first = keyed(of_producer(7, 0, false), &[("a", Some("1")), ("b", Some("1"))], 1000);
    let second = keyed(of_producer(7, 2, false), &[("a", Some("2")), ("b", Some("2"))], 1000);
    rig.append(&first); // 0..=1
    rig.append(&second); // 2..=3
    rig.append(&keyed(BatchOptions::default(), &[("a", Some("3")), ("b", Some("3"))], 500)); // 4..=5
    roll(&mut rig);
    compact(&mut rig.log, UNBOUNDED, 0).unwrap();
    assert_eq!(offsets(&rig), [4, 5]);
    let left = batches(&rig);
    let kept = left.iter().find(|header| header.producer_id == ProducerId(7)).unwrap();
    assert_eq!((kept.base_offset.0, kept.count, kept.base_sequence), (2, 0, 2));
    assert_eq!(kept.max_timestamp, 1000);
    assert_eq!(rig.log.max_timestamp().unwrap().unwrap().offset, Offset(4));
    for offset in rig.log.snapshots().unwrap() {
        rig.disk.remove_file(&rig.path(offset, "snapshot")).unwrap();
    }
    rig.reopen(Cut::Kill, after_crash(0));
    rig.log.expire_producers(1000 + rig.config.producer_id_expiration_ms - 1);
    let again = rig.append(&second);
    assert!(again.is_duplicate);
    assert_eq!(again.base_offset, Offset(2));
    let gap = keyed(of_producer(7, 9, false), &[("a", Some("4"))], 1000);
    let gap = ValidBatch::own(gap).unwrap();
    let refused = rig.log.append_as_leader(gap, LeaderEpoch(0), 0);
    assert!(matches!(refused, Err(AppendError::OutOfOrderSequence { last_sequence: 3, .. })));
}

#[test]
fn a_batch_keeps_its_codec_headers_epoch_and_times() {
    for codec in Compression::ALL {
        let mut rig = Rig::new(compacted());
        let options = BatchOptions { compression: codec, ..of_producer(3, 5, false) };
        let mut builder = BatchBuilder::new(options);
        builder.append(1000, Some(b"a"), Some(b"1"), &[]);
        let headers =
            [NewHeader { key: "h", value: Some(b"v") }, NewHeader { key: "n", value: None }];
        builder.append(900, Some(b"b"), Some(b"2"), &headers);
        builder.append(1100, Some(b"a"), Some(b"3"), &[]);
        builder.append(1200, Some(b"b"), None, &[]);
        let bytes = builder.build().unwrap();
        let own = ValidBatch::own(bytes).unwrap();
        rig.log.append_as_leader(own, LeaderEpoch(4), 0).unwrap();
        roll(&mut rig);
        compact(&mut rig.log, UNBOUNDED, 0).unwrap();
        let bytes = read_all(&rig.log, 0);
        let view = BatchView::new(&bytes).unwrap();
        assert_eq!(view.compression(), Some(codec));
        assert_eq!((view.base_offset(), view.last_offset()), (Offset(0), Offset(3)));
        assert_eq!((view.base_sequence(), view.last_sequence(), view.count()), (5, 8, 2));
        assert_eq!((view.leader_epoch(), view.max_timestamp()), (LeaderEpoch(4), 1200));
        assert_eq!(rig.log.max_timestamp().unwrap().unwrap().offset, Offset(3));
    }
}

#[test]
fn headers_are_copied_to_the_byte() {
    let mut rig = Rig::new(compacted());
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(1, Some(b"a"), Some(b"1"), &[]);
    let headers = [NewHeader { key: "h", value: Some(b"v") }, NewHeader { key: "n", value: None }];
    builder.append(2, Some(b"b"), Some(b"2"), &headers);
    builder.append(3, Some(b"a"), Some(b"2"), &[]);
    rig.append(&builder.build().unwrap());
    roll(&mut rig);
    compact(&mut rig.log, UNBOUNDED, 0).unwrap();
    let bytes = read_all(&rig.log, 0);
    let record = BatchView::new(&bytes).unwrap().records().next().unwrap().unwrap();
    assert_eq!((record.offset, record.timestamp), (Offset(1), 2));
    let found: Vec<_> = record.headers().map(|header| header.unwrap()).collect();
    let found: Vec<_> = found.iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(found, [(&b"h"[..], Some(&b"v"[..])), (b"n", None)]);
}

#[test]
fn a_small_map_takes_several_rounds() {
    let mut rig = Rig::new(compacted());
    for round in 0..5 {
        for key in ["a", "b", "c", "d", "e", "f"] {
            put(&mut rig, &[(key, Some(&format!("{round}")))]);
        }
    }
    roll(&mut rig);
    let mut rounds = 0;
    let mut from = -1;
    while rig.log.cleaner_offset().0 > from && rig.log.cleaner_offset() < Offset(30) {
        from = rig.log.cleaner_offset().0;
        compact(&mut rig.log, 1, 0).unwrap();
        rounds += 1;
    }
    assert_eq!(rounds, 30, "one batch each time");
    assert_eq!(offsets(&rig), [24, 25, 26, 27, 28, 29]);
}

#[test]
fn a_change_of_the_range_makes_a_compaction_void() {
    for change in ["truncate", "delete records", "delete", "stop"] {
        let mut rig = Rig::new(compacted());
        for value in ["1", "2", "3"] {
            put(&mut rig, &[("a", Some(value))]);
            roll(&mut rig);
        }
        put(&mut rig, &[("b", Some("1"))]); // 3
        let plan = rig.log.plan_compaction(Offset(4), 0).unwrap().unwrap();
        let mut rewriting = plan.map_keys(UNBOUNDED, &mut go_on).unwrap();
        if change == "stop" {
            let mut stop = |_| ControlFlow::Break(());
            let stopped = rewriting.rewrite_next(&mut stop);
            assert!(matches!(stopped, Err(CompactError::Stopped)));
            assert_eq!(offsets(&rig), [0, 1, 2, 3]);
        } else {
            let rewritten = rewriting.rewrite_next(&mut go_on).unwrap().unwrap();
            match change {
                "truncate" => drop(rig.log.truncate_to(Offset(3), 0).unwrap()),
                "delete records" => drop(rig.log.delete_records_before(Offset(1), 0).unwrap()),
                _ => rig.log.on_deleted(),
            }
            let before = offsets(&rig);
            assert!(!rig.log.swap_in(rewritten, 0).unwrap(), "{change}");
            rig.log.on_compacted(&rewriting);
            assert_eq!(offsets(&rig), before);
        }
        let files = rig.disk.list(Path::new(DIR)).unwrap();
        assert!(files.iter().all(|file| !file.name.ends_with(".cleaned")), "{change}: {files:?}");
    }
}

#[test]
fn readers_keep_what_they_hold() {
    let mut rig = Rig::new(compacted());
    put(&mut rig, &[("a", Some("1"))]);
    put(&mut rig, &[("a", Some("2"))]);
    roll(&mut rig);
    let slice = read(&rig.log, 0, 1000, 2).unwrap();
    let before = slice.read_bytes().unwrap();
    compact(&mut rig.log, UNBOUNDED, 0).unwrap();
    rig.remove_doomed(i64::MAX);
    assert_eq!(slice.read_bytes().unwrap(), before);
    assert_eq!(offsets(&rig), [1]);
}

#[test]
fn a_damaged_batch_stops_the_compaction_and_changes_nothing() {
    let mut rig = Rig::new(compacted());
    put(&mut rig, &[("a", Some("1"))]);
    put(&mut rig, &[("a", Some("2"))]);
    roll(&mut rig);
    let at = rig.log.segments().next().unwrap().size as usize - 1;
    rig.disk.damage(&rig.path(0, "log"), at, |byte| byte ^ 1);
    let failed = compact(&mut rig.log, UNBOUNDED, 0);
    assert!(matches!(failed, Err(CompactError::Storage(StorageError::Corrupt { .. }))));
    assert_eq!(rig.log.cleaner_offset(), Offset(0));
    let files = rig.disk.list(Path::new(DIR)).unwrap();
    assert!(files.iter().all(|file| !file.name.ends_with(".cleaned")));
}
