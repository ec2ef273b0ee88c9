//! Compaction in the lives of logs: random ones against a model, and crashes at every step.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::compact::{Seen, UNBOUNDED, compact, compacted, keyed, seen};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<(u8, bool)>),
    Roll,
    Compact { is_map_small: bool },
    CrashWhileCompacting { at: u32, cut: Cut },
    DeleteRecords(usize),
    Pass(i64),
    Close,
    Kill,
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![Just(Cut::Kill), Just(Cut::Forget)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec((0..12u8, prop::bool::weighted(0.8)), 1..5).prop_map(Step::Put),
        2 => Just(Step::Roll),
        3 => any::<bool>().prop_map(|is_map_small| Step::Compact { is_map_small }),
        2 => (0..40u32, cut()).prop_map(|(at, cut)| Step::CrashWhileCompacting { at, cut }),
        1 => (0..100usize).prop_map(Step::DeleteRecords),
        2 => (0..200i64).prop_map(Step::Pass),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
    ]
}

/// Everything that was ever appended.
#[derive(Default)]
struct Model {
    written: BTreeMap<i64, (String, Option<String>)>,
    now_ms: i64,
}

impl Model {
    fn take(&mut self, rig: &mut Rig, step: &Step) {
        let end = rig.log.log_end_offset().0;
        match step {
            Step::Put(records) => {
                let records: Vec<(String, Option<String>)> = records
                    .iter()
                    .enumerate()
                    .map(|(index, (key, has_value))| {
                        let value = has_value.then(|| format!("{:060}", end + index as i64));
                        (format!("k{key}"), value)
                    })
                    .collect();
                let borrowed: Vec<_> =
                    records.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
                let bytes = keyed(BatchOptions::default(), &borrowed, self.now_ms);
                assert_eq!(rig.append(&bytes).base_offset.0, end);
                self.written.extend((end..).zip(records));
                rig.log.flush().unwrap();
            }
            Step::Roll if rig.log.active().size > 0 => rig.log.roll_at(end, 0).unwrap(),
            Step::Roll => {}
            Step::Compact { is_map_small } => {
                let map_bytes = if *is_map_small { 300 } else { UNBOUNDED };
                compact(&mut rig.log, map_bytes, self.now_ms).unwrap();
            }
            Step::CrashWhileCompacting { at, cut } => {
                let cleaned = rig.log.cleaner_offset();
                rig.log.flush().unwrap();
                rig.disk.set_faults(Faults { any: Some(*at), ..Faults::default() });
                let _may_fail = compact(&mut rig.log, UNBOUNDED, self.now_ms);
                self.reopen(rig, *cut, cleaned);
            }
            Step::DeleteRecords(percent) => {
                let start = rig.log.log_start_offset().0;
                let target = start + (end - start) * *percent as i64 / 100;
                rig.log.delete_records_before(Offset(target), 0).unwrap();
            }
            Step::Pass(ms) => self.now_ms += ms,
            Step::Close => {
                let cleaned = rig.log.cleaner_offset();
                rig.close_and_reopen();
                rig.log.set_cleaner_offset(cleaned);
            }
            Step::Kill => self.reopen(rig, Cut::Kill, rig.log.cleaner_offset()),
        }
    }

    fn reopen(&self, rig: &mut Rig, cut: Cut, cleaned: Offset) {
        let (log_start, end) = (rig.log.log_start_offset(), rig.log.log_end_offset());
        let recovery_point = rig.log.flushed_offset().0;
        let options = OpenOptions { log_start, ..after_crash(recovery_point) };
        let report = rig.reopen(cut, options);
        assert_eq!((report.torn, report.missing), (None, None));
        assert_eq!(report.quarantined, []);
        assert_eq!(rig.log.log_end_offset(), end);
        rig.log.set_cleaner_offset(cleaned);
    }

    fn compare(&self, rig: &Rig) {
        let start = rig.log.log_start_offset().0;
        let seen: Vec<Seen> =
            seen(&rig.log).into_iter().filter(|(at, _, _)| *at >= start).collect();
        assert!(seen.is_sorted_by_key(|(offset, _, _)| *offset));
        for (offset, key, value) in &seen {
            assert_eq!(&self.written[offset], &(key.clone(), value.clone()), "at {offset}");
        }
        assert_eq!(latest(&seen), self.latest_from(start));
        // From any offset on a reader finds the next survivor.
        let end = rig.log.log_end_offset().0;
        for from in start..end {
            let found = read_all(&rig.log, from);
            let next = BatchIter::new(&found).map(|batch| batch.unwrap()).find_map(|view| {
                let records = view.records().map(|record| record.unwrap().offset.0);
                records.into_iter().find(|offset| *offset >= from)
            });
            let expected = seen.iter().map(|(offset, _, _)| *offset).find(|at| *at >= from);
            assert_eq!(next, expected, "from {from}");
        }
    }

    fn latest_from(&self, start: i64) -> BTreeMap<String, (i64, String)> {
        let written = self.written.range(start..);
        let seen: Vec<Seen> =
            written.map(|(offset, (key, value))| (*offset, key.clone(), value.clone())).collect();
        latest(&seen)
    }
}

/// What a table that is made of the records holds in the end.
fn latest(seen: &[Seen]) -> BTreeMap<String, (i64, String)> {
    let mut latest = BTreeMap::new();
    for (offset, key, value) in seen {
        match value {
            Some(value) => drop(latest.insert(key.clone(), (*offset, value.clone()))),
            None => drop(latest.remove(key)),
        }
    }
    latest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_compacted_log_tells_the_same_table(steps in prop::collection::vec(step(), 1..50)) {
        let mut rig = Rig::new(LogConfig { delete_retention_ms: 100, ..compacted() });
        let mut model = Model::default();
        for step in &steps {
            model.take(&mut rig, step);
            model.compare(&rig);
        }
    }
}

/// Three segments that become two, and an active one.
fn before_compaction() -> Rig {
    let mut rig = Rig::new(LogConfig { segment_bytes: 500, ..compacted() });
    for round in 0..12 {
        let value = format!("{round:080}");
        let records: Vec<_> = ["a", "b"].iter().map(|key| (*key, Some(value.as_str()))).collect();
        rig.append(&keyed(BatchOptions::default(), &records, round));
    }
    rig.log.flush().unwrap();
    rig
}

#[test]
fn a_crash_at_any_write_sync_or_rename_leaves_the_old_or_the_new() {
    let old = seen(&before_compaction().log);
    let mut ends = 0;
    let mut outcomes = std::collections::BTreeSet::new();
    for at in 0.. {
        for cut in [Cut::Kill, Cut::Forget, Cut::TearAtByte(at.into()), Cut::TearBlocks(at.into())]
        {
            let mut rig = before_compaction();
            let end = rig.log.log_end_offset();
            rig.disk.set_faults(Faults { any: Some(at), ..Faults::default() });
            let done = compact(&mut rig.log, UNBOUNDED, 0).is_ok();
            ends += u32::from(done);
            let report = rig.reopen(cut, after_crash(end.0));
            assert_eq!(report.missing, None, "{at} {cut:?}");
            assert_eq!((report.torn, report.quarantined), (None, vec![]), "{at} {cut:?}");
            assert_eq!(rig.log.log_end_offset(), end);
            let after = seen(&rig.log);
            assert_eq!(latest(&after), latest(&old), "{at} {cut:?}");
            assert!(after.iter().all(|record| old.contains(record)));
            outcomes.insert(after.len());
            let files = rig.disk.list(Path::new(DIR)).unwrap();
            let is_over = |name: &str| !name.ends_with(".swap") && !name.ends_with(".cleaned");
            assert!(files.iter().all(|file| is_over(&file.name)), "{at} {cut:?} {files:?}");
            // It goes on.
            compact(&mut rig.log, UNBOUNDED, 0).unwrap();
            assert_eq!(latest(&seen(&rig.log)), latest(&old));
            rig.append(&batch(1, 10, 0));
        }
        if ends > 0 {
            break;
        }
        assert!(at < 1000, "it never comes to its end");
    }
    assert!(outcomes.len() > 1 && outcomes.contains(&old.len()), "{outcomes:?}");
}

#[test]
fn a_crash_while_a_swap_is_settled_is_settled_by_the_next_open() {
    let old = seen(&before_compaction().log);
    let mut steps = 0;
    for at in 0..60 {
        for again in 0..20 {
            let mut rig = before_compaction();
            let end = rig.log.log_end_offset();
            rig.disk.set_faults(Faults { any: Some(at), ..Faults::default() });
            let _fails = compact(&mut rig.log, UNBOUNDED, 0);
            let disk = rig.disk.after(Cut::Kill);
            disk.set_faults(Faults { any: Some(again), ..Faults::default() });
            let config = Arc::clone(&rig.config);
            let opened = Log::open(&as_disk(&disk), Path::new(DIR), config, after_crash(end.0));
            steps += u32::from(opened.is_err());
            disk.set_faults(Faults::default());
            rig.disk = disk;
            rig.reopen(Cut::Kill, after_crash(end.0));
            assert_eq!(rig.log.log_end_offset(), end, "{at} {again}");
            assert_eq!(latest(&seen(&rig.log)), latest(&old), "{at} {again}");
        }
    }
    assert!(steps > 100, "{steps}");
}
