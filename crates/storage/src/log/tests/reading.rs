//! Reads at the tail, by time, and of files that were closed.

use super::*;
use crate::error::ReadError;

#[test]
fn the_tail_is_read_without_touching_the_disk() {
    let mut rig = Rig::new(LogConfig::default());
    for index in 0..50 {
        rig.append(&batch(2, 100, index));
    }
    let before = rig.disk.reads();
    let slice = read(&rig.log, 97, 1 << 20, 98).unwrap();
    assert_eq!(slice.base_offset, Offset(96));
    let slice = read(&rig.log, 90, 400, i64::MAX).unwrap();
    assert_eq!(rig.disk.reads(), before);
    assert!(slice.len <= 400);
}

#[test]
fn offsets_outside_of_the_log_are_refused_and_its_end_is_empty() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&batch(3, 10, 0));
    rig.log.delete_records_before(Offset(1), 0).unwrap();
    let options = ReadOptions { max_bytes: 100, upper: Offset(3), min_one_batch: true };
    for from in [-1, 0, 4] {
        let error = rig.log.read(Offset(from), options).unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { .. }), "{from}");
    }
    assert!(rig.log.read(Offset(3), options).unwrap().is_none());
    let options = ReadOptions { min_one_batch: false, max_bytes: 10, ..options };
    assert!(rig.log.read(Offset(1), options).unwrap().is_none(), "it does not fit");
}

#[test]
fn a_slice_outlives_its_segment() {
    let config = LogConfig { retention_bytes: 0, ..small_segments() };
    let mut rig = Rig::new(config);
    for index in 0..10 {
        rig.append(&batch(1, 300, index));
    }
    let slice = read(&rig.log, 0, 100, i64::MAX).unwrap();
    let before = slice.read_bytes().unwrap();
    assert!(!rig.log.retain(0, Offset(10)).unwrap().is_empty());
    rig.remove_doomed(i64::MAX);
    assert!(!rig.disk.exists(&rig.path(0, "log")));
    assert!(!rig.disk.exists(&rig.path(0, "log.deleted")));
    assert_eq!(slice.read_bytes().unwrap(), before);
}

#[test]
fn offsets_are_found_by_time_across_segments_and_restarts() {
    let mut rig = Rig::new(small_segments());
    for index in 0..30 {
        // Out of order within bounds: 1000, 990, 1020, 1010 …
        let timestamp = 1000 + 10 * (if index % 2 == 0 { index } else { index - 2 });
        rig.append(&batch(1, 150, timestamp));
    }
    for _ in 0..2 {
        let found = |timestamp| rig.log.offset_for_timestamp(timestamp).unwrap();
        assert_eq!(found(0).unwrap().offset, Offset(0));
        assert_eq!(found(1000).unwrap().offset, Offset(0));
        assert_eq!(found(1001).unwrap().offset, Offset(2));
        assert_eq!(found(1021).unwrap().offset, Offset(4));
        assert_eq!(found(1280).unwrap().offset, Offset(28));
        assert_eq!(found(1281), None);
        let newest = rig.log.max_timestamp().unwrap().unwrap();
        assert_eq!((newest.timestamp, newest.offset), (1280, Offset(28)));
        rig.close_and_reopen();
    }
}

#[test]
fn time_is_found_inside_compressed_batches() {
    let mut rig = Rig::new(LogConfig::default());
    let mut builder = BatchBuilder::new(BatchOptions {
        compression: kalda_records::Compression::Zstd,
        ..BatchOptions::default()
    });
    for timestamp in [10, 20, 30] {
        builder.append(timestamp, None, Some(b"v"), &[]);
    }
    rig.append(&builder.build().unwrap());
    let found = rig.log.offset_for_timestamp(15).unwrap().unwrap();
    assert_eq!((found.timestamp, found.offset), (20, Offset(1)));
    assert_eq!(rig.log.max_timestamp().unwrap().unwrap().offset, Offset(2));
}

#[test]
fn an_open_log_after_a_clean_close_touches_no_log_file() {
    let mut rig = Rig::new(small_segments());
    for index in 0..20 {
        rig.append(&batch(1, 150, index));
    }
    rig.close_and_reopen();
    let reads_to_open = rig.disk.reads();
    assert!(reads_to_open <= 4, "epochs and one snapshot: {reads_to_open}");
    assert_eq!(rig.log.log_end_offset(), Offset(20));
    assert_eq!(rig.log.flushed_offset(), Offset(20));
}
