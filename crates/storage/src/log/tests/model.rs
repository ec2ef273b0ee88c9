//! Random lives of a log, compared with a list of batches after every step.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append { count: usize, len: usize },
    Follow { batches: usize, gap: i64 },
    Roll,
    Truncate(usize),
    DeleteRecords(usize),
    Flush,
    Close,
    Kill,
    CloseFiles,
    NewEpoch,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..6usize, 0..170usize).prop_map(|(count, len)| Step::Append { count, len }),
        3 => (1..6usize, 0..3i64).prop_map(|(batches, gap)| Step::Follow { batches, gap }),
        1 => Just(Step::Roll),
        1 => (0..100usize).prop_map(Step::Truncate),
        1 => (0..100usize).prop_map(Step::DeleteRecords),
        2 => Just(Step::Flush),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        1 => Just(Step::CloseFiles),
        1 => Just(Step::NewEpoch),
    ]
}

/// What the log should hold.
struct Model {
    /// Base offset, next offset, bytes as they should be read.
    batches: Vec<(i64, i64, Vec<u8>)>,
    end: i64,
    epoch: i32,
    clock: i64,
}

impl Model {
    fn stamped(&mut self, bytes: &Bytes, base: i64) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        kalda_records::stamp(&mut bytes, Offset(base), LeaderEpoch(self.epoch));
        let next = BatchIter::new(&bytes).last().unwrap().unwrap().next_offset().0;
        self.batches.push((base, next, bytes.clone()));
        self.end = next;
        bytes
    }

    fn take(&mut self, rig: &mut Rig, step: &Step) {
        let end = rig.log.log_end_offset().0;
        match *step {
            Step::Append { count, len } => {
                self.clock += 10;
                let bytes = batch(count, len, self.clock);
                let own = ValidBatch::own(bytes.clone()).unwrap();
                let appended = rig.log.append_as_leader(own, LeaderEpoch(self.epoch), 0).unwrap();
                assert_eq!(appended.base_offset.0, end);
                self.stamped(&bytes, end);
            }
            Step::Follow { batches, gap } => {
                let mut sent = Vec::new();
                let mut base = end + gap;
                for _ in 0..batches {
                    self.clock += 10;
                    sent.extend(self.stamped(&batch(2, 100, self.clock), base));
                    base += 2;
                }
                // The leader cut the last one; it is not taken.
                sent.extend_from_slice(&batch(1, 50, 1)[..70]);
                assert_eq!(rig.log.append_as_follower(&sent, 0).unwrap().0, base);
            }
            Step::Roll => {
                if rig.log.active().size > 0 {
                    rig.log.roll_at(end, 0).unwrap();
                }
            }
            Step::Truncate(percent) => {
                let start = rig.log.log_start_offset().0;
                let target = start + (end - start) * percent as i64 / 100;
                self.batches.retain(|(_, next, _)| *next <= target);
                let kept = self.batches.last().map_or(start, |(_, next, _)| *next);
                self.end = rig.log.truncate_to(Offset(target), 0).unwrap().0;
                // A target in a gap may leave the end at either side of the gap's part below it.
                assert!((kept.min(target)..=target).contains(&self.end), "{kept} {target}");
            }
            Step::DeleteRecords(percent) => {
                let start = rig.log.log_start_offset().0;
                let target = start + (end - start) * percent as i64 / 100;
                rig.log.delete_records_before(Offset(target), 0).unwrap();
                self.batches.retain(|(_, next, _)| *next > target);
            }
            Step::Flush => {
                assert_eq!(rig.log.flush().unwrap().0, end);
            }
            Step::Close => rig.close_and_reopen(),
            Step::Kill => {
                let log_start = rig.log.log_start_offset();
                let recovery_point = rig.log.flushed_offset().0;
                let options = OpenOptions { log_start, ..after_crash(recovery_point) };
                let report = rig.reopen(Cut::Kill, options);
                assert_eq!((report.torn, report.missing), (None, None));
                assert_eq!(report.quarantined, []);
            }
            Step::CloseFiles => rig.log.close_idle_files(),
            Step::NewEpoch => {
                self.epoch += 1;
                rig.log.assign_epoch_start(LeaderEpoch(self.epoch));
            }
        }
    }

    fn compare(&self, log: &Log, from: usize, max_bytes: usize) {
        let start = log.log_start_offset().0;
        let end = log.log_end_offset().0;
        assert_eq!(end, self.end);
        let visible = self.batches.iter().filter(|(_, next, _)| *next > start);
        let whole: Vec<u8> = visible.flat_map(|(_, _, bytes)| bytes.clone()).collect();
        assert_eq!(read_all(log, start), whole);

        let from = start + (end - start) * from as i64 / 100;
        let upper = (start + end) / 2;
        let slice = read(log, from, max_bytes, upper);
        let expected = self.batches.iter().find(|(_, next, _)| *next > from);
        let expected = expected.filter(|(_, next, _)| *next <= upper);
        match (slice, expected) {
            (None, None) => {}
            (Some(slice), Some((base, _, first))) => {
                assert_eq!(slice.base_offset.0, *base);
                let bytes = slice.read_bytes().unwrap();
                assert!(bytes.starts_with(first));
                assert!(bytes.len() <= max_bytes.max(first.len()));
                let last = BatchIter::new(&bytes).last().unwrap().unwrap();
                assert!(last.next_offset().0 <= upper);
                self.assert_read_as_much_as_fits(log, &slice, &last, max_bytes, upper);
            }
            (slice, expected) => panic!("{slice:?} for {expected:?} from {from} below {upper}"),
        }
        assert!(log.flushed_offset().0 <= end);
    }

    fn assert_read_as_much_as_fits(
        &self,
        log: &Log,
        slice: &LogSlice,
        last: &kalda_records::BatchView<'_>,
        max_bytes: usize,
        upper: i64,
    ) {
        let next = self.batches.iter().find(|(base, _, _)| *base >= last.next_offset().0);
        let Some((base, end, bytes)) = next else { return };
        let same_segment = log.segments().all(|segment| {
            segment.base_offset <= slice.segment_base_offset || segment.base_offset.0 > *base
        });
        let would_fit = slice.len + bytes.len() <= max_bytes && *end <= upper;
        assert!(!(same_segment && would_fit), "a batch more would have fitted");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_what_its_life_says(
        steps in prop::collection::vec(step(), 1..60),
        from in 0..100usize,
        max_bytes in 0..2000usize,
    ) {
        let mut rig = Rig::new(small_segments());
        let mut model = Model { batches: Vec::new(), end: 0, epoch: 0, clock: 0 };
        for step in &steps {
            model.take(&mut rig, step);
            model.compare(&rig.log, from, max_bytes);
        }
    }
}
