//! What goes, when, and what never does.

use super::*;

fn filled(config: LogConfig) -> Rig {
    let mut rig = Rig::new(config);
    for index in 0..20 {
        rig.append(&batch(1, 300, 1000 * index));
    }
    rig
}

#[test]
fn nothing_above_the_high_watermark_goes() {
    let config = LogConfig { retention_ms: 0, retention_bytes: 0, ..small_segments() };
    let mut rig = filled(config);
    assert!(rig.log.retain(i64::MAX, Offset(0)).unwrap().is_empty());
    let second = rig.log.segments().nth(1).unwrap().base_offset;
    let gone = rig.log.retain(i64::MAX, second).unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(rig.log.log_start_offset(), second);
}

#[test]
fn time_takes_segments_whose_newest_record_is_old_even_the_active_one() {
    let config = LogConfig { retention_ms: 5_000, ..small_segments() };
    let mut rig = filled(config);
    let gone = rig.log.retain(12_500, Offset(20)).unwrap();
    assert!(gone.iter().all(|(_, reason)| *reason == Retained::Time));
    assert_eq!(rig.log.log_start_offset(), Offset(8), "the segment of 6,000 and 7,000 went too");
    rig.log.retain(1_000_000, Offset(20)).unwrap();
    assert_eq!(rig.log.log_start_offset(), Offset(20));
    assert_eq!(rig.log.size_bytes(), 0);
    assert_eq!(rig.append(&batch(1, 10, 1)).base_offset, Offset(20));
}

#[test]
fn size_keeps_at_least_what_it_says() {
    let config = LogConfig { retention_bytes: 2_000, ..small_segments() };
    let mut rig = filled(config);
    rig.log.retain(0, Offset(20)).unwrap();
    assert!((2_000..3_000).contains(&rig.log.size_bytes()), "{}", rig.log.size_bytes());
}

#[test]
fn compacted_topics_lose_only_what_lies_before_their_start() {
    let cleanup_policy = crate::CleanupPolicy { delete: false, compact: true };
    let config =
        LogConfig { cleanup_policy, retention_ms: 0, retention_bytes: 0, ..small_segments() };
    let mut rig = filled(config);
    assert!(rig.log.retain(i64::MAX, Offset(20)).unwrap().is_empty());
    assert_eq!(rig.log.delete_records_before(Offset(10), 0).unwrap(), Offset(10));
    assert!(rig.log.segments().next().unwrap().base_offset <= Offset(10));
    assert!(rig.log.segments().nth(1).unwrap().base_offset > Offset(10));
}

#[test]
fn files_go_after_the_delay_and_leftovers_at_the_next_start() {
    let config = LogConfig { retention_bytes: 0, file_delete_delay_ms: 60, ..small_segments() };
    let mut rig = filled(config);
    rig.log.retain(1000, Offset(20)).unwrap();
    assert!(rig.disk.exists(&rig.path(0, "log.deleted")));
    assert_eq!(rig.log.next_removal_ms(), Some(1060));
    assert_eq!(rig.remove_doomed(1059), 0);
    rig.close_and_reopen();
    assert!(!rig.disk.exists(&rig.path(0, "log.deleted")));
    let entries = rig.disk.list(Path::new(DIR)).unwrap();
    assert!(entries.iter().all(|entry| !entry.name.contains("deleted")), "{entries:?}");
}
