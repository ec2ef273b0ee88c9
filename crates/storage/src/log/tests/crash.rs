//! Kills, power cuts, full disks, rotten bytes.

use kalda_records::BatchView;
use proptest::prelude::*;

use super::*;
use crate::error::AppendError;

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        Just(Cut::Kill),
        Just(Cut::Forget),
        any::<u64>().prop_map(Cut::TearAtByte),
        any::<u64>().prop_map(Cut::TearBlocks),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// What was flushed is there, what is there is a prefix of what was appended, and the log goes
    /// on.
    #[test]
    fn acknowledged_records_survive(
        lens in prop::collection::vec((0..700usize, any::<bool>()), 1..40),
        checkpoint_at in 0..40usize,
        cut in cut(),
        is_synced: bool,
    ) {
        let mut rig = Rig::new(small_segments());
        let mut written = Vec::new();
        let mut recovery_point = 0;
        for (index, (len, is_flushed)) in lens.iter().enumerate() {
            let base = rig.append(&batch(1, *len, index as i64)).base_offset.0;
            written.push(base);
            if *is_flushed {
                rig.log.flush().unwrap();
            }
            if index == checkpoint_at {
                recovery_point = rig.log.flushed_offset().0;
            }
        }
        let acknowledged = rig.log.flushed_offset().0;
        if acknowledged == 0 && !matches!(cut, Cut::Kill) {
            return Ok(()); // The directory itself may be gone.
        }
        let before = read_all(&rig.log, 0);
        rig.disk = rig.disk.after(cut);
        if is_synced {
            rig.disk.sync_filesystem(Path::new(DIR)).unwrap();
        }
        let options = OpenOptions { is_synced, ..after_crash(recovery_point) };
        let report = rig.reopen(Cut::Kill, options);
        let end = rig.log.log_end_offset().0;
        prop_assert!(end >= acknowledged, "{end} < {acknowledged}: {report:?}");
        prop_assert_eq!(&report.missing, &None);
        // No power cut looks like rot.
        prop_assert_eq!(&report.quarantined, &[]);
        let after = read_all(&rig.log, 0);
        prop_assert!(before.starts_with(&after));
        prop_assert_eq!(BatchIter::new(&after).count() as i64, end);
        prop_assert_eq!(rig.log.flushed_offset().0, end);
        if is_synced || acknowledged > 0 {
            // That is true on the disk, too.
            rig.reopen(Cut::Forget, after_crash(recovery_point));
            prop_assert_eq!(rig.log.log_end_offset().0, end);
        }
        // It goes on, and what comes next survives in its turn.
        rig.append(&batch(2, 20, 9));
        rig.log.flush().unwrap();
        let whole = read_all(&rig.log, 0);
        rig.reopen(Cut::Forget, after_crash(end));
        prop_assert_eq!(read_all(&rig.log, 0), whole);
    }

    /// However often it was cut and written anew between two flushes: a power cut leaves a prefix of one
    /// of its histories, and nothing that looks like rot.
    #[test]
    fn what_is_written_over_a_cut_is_torn_and_no_rot(
        steps in prop::collection::vec((0..1200usize, any::<bool>(), prop::option::weighted(0.3, 0..8i64)), 1..30),
        seed in any::<u64>(),
    ) {
        let mut rig = Rig::new(small_segments());
        rig.append(&batch(1, 10, 1));
        rig.log.flush().unwrap();
        let mut acknowledged = 1;
        for (index, (len, is_flushed, back)) in steps.into_iter().enumerate() {
            if let Some(back) = back {
                let to = (rig.log.log_end_offset().0 - back).max(1);
                rig.log.truncate_to(Offset(to), 0).unwrap();
                acknowledged = acknowledged.min(to);
            }
            let fits = batch(1, len.min(900), index as i64 + 1);
            rig.append(&fits);
            if is_flushed {
                acknowledged = rig.log.flush().unwrap().0;
            }
        }
        let before = read_all(&rig.log, 0);
        let report = rig.reopen(Cut::TearBlocks(seed), after_crash(1));
        prop_assert_eq!((&report.quarantined, &report.missing), (&vec![], &None));
        let after = read_all(&rig.log, 0);
        let of = |bytes: &[u8]| BatchIter::new(bytes).count() as i64;
        prop_assert_eq!(of(&after), rig.log.log_end_offset().0, "nothing is missing within");
        let is_acknowledged = |batch: &BatchView<'_>| batch.base_offset().0 < acknowledged;
        let acknowledged_bytes = BatchIter::new(&before).map(Result::unwrap).filter(is_acknowledged);
        let len: usize = acknowledged_bytes.map(|batch| batch.size()).sum();
        prop_assert_eq!(after.get(..len), before.get(..len));
    }

    /// Whatever write, sync or cut fails: nothing half-visible, nothing flushed is lost.
    #[test]
    fn a_failing_disk_leaves_a_consistent_log(
        write in prop::option::of(0..30u32),
        sync in prop::option::of(0..30u32),
        set_len in prop::option::of(0..3u32),
        cut in cut(),
    ) {
        let mut rig = Rig::new(small_segments());
        rig.append(&batch(1, 10, 0));
        rig.log.flush().unwrap();
        rig.disk.set_faults(Faults { write, sync, set_len, ..Faults::default() });
        let mut acknowledged = 1;
        for index in 0..30 {
            let own = ValidBatch::own(batch(1, 200, index)).unwrap();
            let end = rig.log.log_end_offset();
            match rig.log.append_as_leader(own, LeaderEpoch(0), 0) {
                Ok(appended) => prop_assert_eq!(appended.base_offset, end),
                Err(AppendError::Storage(_)) => {
                    prop_assert_eq!(rig.log.log_end_offset(), end);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
            match rig.log.flush() {
                Ok(flushed) => acknowledged = flushed.0,
                Err(_) => break,
            }
        }
        rig.disk.set_faults(Faults::default());
        let report = rig.reopen(cut, after_crash(1));
        prop_assert!(rig.log.log_end_offset().0 >= acknowledged, "{:?}", report);
        read_all(&rig.log, 0);
    }
}

/// Ten flushed batches of one record each in one segment, closed by a kill.
fn ten() -> (Rig, usize) {
    let mut rig = Rig::new(LogConfig::default());
    for index in 0..10 {
        rig.append(&batch(1, 50, index));
    }
    rig.log.flush().unwrap();
    let size = rig.log.size_bytes() as usize / 10;
    (rig, size)
}

#[test]
fn damage_with_good_batches_behind_it_is_quarantined_whole() {
    let (mut rig, size) = ten();
    let path = rig.path(0, "log");
    rig.disk.damage(&path, 4 * size + 70, |byte| byte ^ 1);
    let report = rig.reopen(Cut::Kill, after_crash(0));
    assert_eq!(rig.log.log_end_offset(), Offset(4));
    assert_eq!(report.torn, None);
    let [quarantined] = &report.quarantined[..] else { panic!("{report:?}") };
    assert_eq!(quarantined.position, 4 * size as u64);
    assert_eq!(quarantined.bytes, 6 * size as u64);
    assert_eq!(quarantined.from_offset, Offset(4));
    assert_eq!(quarantined.reason, "the checksum does not fit");
    let aside = rig.disk.read(&quarantined.moved_to).unwrap();
    assert_eq!(aside.len(), 6 * size);
    assert_eq!(BatchIter::new(&aside[size..]).count(), 5, "the good ones are there to be saved");
}

#[test]
fn a_damaged_batch_is_kept_when_a_replica_is_cut_to_be_copied_again() {
    let (mut rig, size) = ten();
    rig.disk.damage(&rig.path(0, "log"), 4 * size + 70, |byte| byte ^ 1);
    let kept = rig.log.set_aside_from(Offset(4), 0).unwrap().unwrap();
    assert!(kept.to_string_lossy().ends_with(".log.4.quarantine"), "{}", kept.display());
    assert_eq!(rig.disk.read(&kept).unwrap().len(), size);
    assert_eq!(rig.log.log_end_offset(), Offset(4));
    rig.append(&batch(1, 50, 4));
    rig.log.flush().unwrap();
    let report = rig.reopen(Cut::Forget, after_crash(4));
    assert_eq!((report.quarantined, report.torn, report.missing), (vec![], None, None));
    assert_eq!(BatchIter::new(&read_all(&rig.log, 0)).count(), 5);
}

#[test]
fn a_broken_length_does_not_hide_the_good_batches_behind_it() {
    let (mut rig, size) = ten();
    let path = rig.path(0, "log");
    rig.disk.damage(&path, 8 * size + 9, |_| 0x40);
    let report = rig.reopen(Cut::Kill, after_crash(0));
    assert_eq!(report.quarantined.len(), 1, "{report:?}");
    assert_eq!(rig.log.log_end_offset(), Offset(8));
}

#[test]
fn a_bad_last_batch_is_damage_although_nothing_is_behind_it() {
    for recovery_point in [9, 10] {
        let (mut rig, size) = ten();
        rig.disk.damage(&rig.path(0, "log"), 9 * size + 70, |byte| byte ^ 1);
        let report = rig.reopen(Cut::Kill, after_crash(recovery_point));
        assert_eq!(report.torn, None);
        assert_eq!(report.quarantined[0].from_offset, Offset(9));
        let missing = (recovery_point == 10).then_some((Offset(9), Offset(10)));
        assert_eq!(report.missing, missing);
    }
}

/// Ten flushed batches of 700 bytes and some, of which a sector is as if it had never been written.
fn with_a_hole(sector: usize) -> Rig {
    let mut rig = Rig::new(LogConfig::default());
    for index in 1..=10 {
        rig.append(&batch(1, 700, index));
    }
    rig.log.flush().unwrap();
    for at in sector * 512..(sector + 1) * 512 {
        rig.disk.damage(&rig.path(0, "log"), at, |_| 0);
    }
    rig
}

/// The disk kept a later sector and lost an earlier one: seed 10184 of the whole nodes is one of these.
#[test]
fn a_sector_that_was_never_written_is_cut_above_the_recovery_point_and_damage_below_it() {
    for (sector, end) in [(0, 0), (3, 1), (7, 4)] {
        let mut rig = with_a_hole(sector);
        let disk = rig.disk.clone();
        let whole = disk.read(&rig.path(0, "log")).unwrap();
        let report = rig.reopen(Cut::Kill, after_crash(end));
        assert_eq!(rig.log.log_end_offset(), Offset(end), "sector {sector}");
        assert_eq!((report.quarantined, report.missing), (vec![], None));
        let torn = report.torn.unwrap();
        assert_eq!((torn.offset, torn.position + torn.bytes), (Offset(end), whole.len() as u64));
        let kept = rig.disk.read(&torn.kept.unwrap()).unwrap();
        assert_eq!(kept, whole[torn.position as usize..], "good batches lie behind it");
        // It goes on, and is opened again like any other.
        rig.append(&batch(1, 10, 1));
        rig.log.flush().unwrap();
        let report = rig.reopen(Cut::Forget, after_crash(0));
        assert_eq!((report.torn, report.quarantined), (None, vec![]));

        rig.disk = disk;
        let report = rig.reopen(Cut::Kill, after_crash(end + 1));
        assert_eq!(report.torn, None);
        assert_eq!(report.quarantined.len(), 1);
        assert_eq!(report.missing, Some((Offset(end), Offset(end + 1))));
    }
}

#[test]
fn a_flipped_bit_is_damage_wherever_it_is() {
    let (rig, size) = ten();
    let disk = rig.disk;
    // The checksum does not cover the base offset and the leader epoch, which a leader stamps.
    let is_covered = |at: &usize| !matches!(at % size, 0..8 | 12..16);
    for at in (0..size * 10).filter(is_covered) {
        let log = Rig::new(LogConfig::default()).log;
        let mut rig = Rig { disk: disk.after(Cut::Kill), config: Arc::default(), log };
        rig.disk.damage(&rig.path(0, "log"), at, |byte| byte ^ 4);
        let report = rig.reopen(Cut::Kill, after_crash(0));
        assert_eq!((report.torn, report.quarantined.len()), (None, 1), "byte {at}");
        assert_eq!(rig.log.log_end_offset().0 as usize, at / size);
    }
}

/// Segments behind a tear were not synced either.
#[test]
fn segments_behind_a_torn_one_are_kept_beside() {
    let mut rig = Rig::new(small_segments());
    for index in 1..=6 {
        rig.append(&batch(1, 850, index));
    }
    rig.log.flush().unwrap();
    for at in 512..1000 {
        let path = rig.path(3, "log");
        if at < rig.disk.len(&path).unwrap() as usize {
            rig.disk.damage(&path, at, |_| 0);
        }
    }
    let report = rig.reopen(Cut::Kill, after_crash(3));
    assert_eq!(rig.log.log_end_offset(), Offset(3));
    assert_eq!((report.quarantined, report.missing), (vec![], None));
    assert!(report.torn.unwrap().kept.is_some());
    let beside: Vec<_> = rig.disk.list(Path::new(DIR)).unwrap();
    let beside = beside.iter().filter(|entry| entry.name.ends_with(".cut")).count();
    assert_eq!(beside, 3);
}

#[test]
fn segments_behind_a_damaged_one_are_moved_aside() {
    let mut rig = Rig::new(small_segments());
    for index in 0..12 {
        rig.append(&batch(1, 250, index));
    }
    rig.log.flush().unwrap();
    let bases: Vec<i64> = rig.log.segments().map(|segment| segment.base_offset.0).collect();
    assert!(bases.len() >= 4);
    rig.disk.damage(&rig.path(bases[1], "log"), 100, |byte| byte ^ 1);
    let report = rig.reopen(Cut::Kill, after_crash(0));
    assert_eq!(rig.log.log_end_offset(), Offset(bases[1]));
    assert_eq!(report.quarantined.len(), bases.len() - 1);
    for quarantined in &report.quarantined {
        assert!(rig.disk.exists(&quarantined.moved_to));
    }
    // The place is free: the log goes on and is opened again.
    rig.append(&batch(1, 250, 50));
    let whole = read_all(&rig.log, 0);
    rig.close_and_reopen();
    assert_eq!(read_all(&rig.log, 0), whole);
}

/// A file system makes names durable when it likes to.
#[test]
fn a_new_segment_does_not_stand_for_records_that_were_lost_before_it() {
    let mut rig = Rig::new(small_segments());
    rig.append(&batch(1, 300, 1));
    rig.log.flush().unwrap();
    rig.append(&batch(1, 300, 2));
    rig.append(&batch(1, 600, 3));
    assert_eq!(rig.log.segments().count(), 2);
    rig.disk.sync_dir(Path::new(DIR)).unwrap();
    let report = rig.reopen(Cut::Forget, after_crash(0));
    assert_eq!((report.quarantined, report.missing), (vec![], None));
    let there = BatchIter::new(&read_all(&rig.log, 0)).count() as i64;
    assert_eq!((there, rig.log.log_end_offset()), (2, Offset(2)));
}

#[test]
fn a_flush_under_way_does_not_mind_that_the_partition_is_deleted() {
    let temporary = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(kalda_env::FsDisk);
    let dir = temporary.path().join("t-0");
    let mut log = Log::create(&disk, &dir, Arc::default(), None, 0).unwrap();
    let own = || ValidBatch::own(batch(1, 10, 0)).unwrap();
    log.append_as_leader(own(), LeaderEpoch(0), 0).unwrap();
    let work = log.take_dirty().unwrap().unwrap();
    log.on_deleted();
    disk.remove_dir_all(&dir).unwrap();
    assert_eq!(log.on_flushed(work.perform(&*disk).unwrap()), Offset(1));
    assert!(log.take_dirty().unwrap().is_none());

    let mut log = Log::create(&disk, &dir, Arc::default(), None, 0).unwrap();
    log.append_as_leader(own(), LeaderEpoch(0), 0).unwrap();
    let work = log.take_dirty().unwrap().unwrap();
    disk.remove_dir_all(&dir).unwrap();
    assert!(work.perform(&*disk).is_err(), "unless nobody said so");
}

#[test]
fn closing_again_what_was_not_touched_costs_nothing() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&batch(1, 10, 0));
    rig.close_and_reopen();
    rig.disk.set_faults(Faults { any: Some(0), ..Faults::default() });
    rig.log.close_clean().unwrap();
    rig.disk.set_faults(Faults::default());
    rig.append(&batch(1, 10, 0));
    rig.close_and_reopen();
    assert_eq!(rig.log.log_end_offset(), Offset(2));
}

#[test]
fn a_failed_sync_poisons_the_log_for_good() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&batch(1, 10, 0));
    rig.disk.set_faults(Faults { sync: Some(0), ..Faults::default() });
    assert!(rig.log.flush().is_err());
    rig.disk.set_faults(Faults::default());
    assert!(matches!(rig.log.flush(), Err(StorageError::Poisoned { .. })));
    let own = ValidBatch::own(batch(1, 10, 0)).unwrap();
    assert!(rig.log.append_as_leader(own, LeaderEpoch(0), 0).is_err());
    assert_eq!(rig.log.flushed_offset(), Offset(0));
}

#[test]
fn a_note_of_a_flush_from_before_a_truncation_is_void() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&batch(1, 10, 0));
    rig.append(&batch(1, 10, 1));
    let work = rig.log.take_dirty().unwrap().unwrap();
    let done = work.perform(&rig.disk).unwrap();
    rig.log.truncate_to(Offset(1), 0).unwrap();
    rig.append(&batch(1, 10, 2));
    assert_eq!(rig.log.on_flushed(done), Offset(0));
    assert_eq!(rig.log.flush().unwrap(), Offset(2));
}

#[test]
fn what_was_synced_as_a_whole_is_not_synced_log_by_log() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&batch(3, 20, 0));
    rig.disk.sync_filesystem(Path::new(DIR)).unwrap();
    rig.disk.set_faults(Faults { sync: Some(0), ..Faults::default() });
    let open = |is_synced| {
        let options = OpenOptions { is_synced, ..after_crash(0) };
        Log::open(&as_disk(&rig.disk), Path::new(DIR), Arc::clone(&rig.config), options)
    };
    assert_eq!(open(true).unwrap().0.flushed_offset(), Offset(3));
    assert!(open(false).is_err());
}

/// Simulated nodes, seed 60587: a disk that was full when the partition was made.
#[test]
fn a_part_of_the_topic_id_is_none_where_there_is_no_record() {
    let disk = FaultDisk::default();
    let id = "mpav7dCVQWSJYovnmjBlpw".parse().unwrap();
    let config = Arc::<LogConfig>::default();
    drop(Log::create(&as_disk(&disk), Path::new(DIR), Arc::clone(&config), Some(id), 0).unwrap());
    let path = Path::new(DIR).join(crate::names::PARTITION_METADATA);
    disk.open(&path, kalda_env::OpenMode::ReadWrite).unwrap().set_len(17).unwrap();
    let open = || Log::open(&as_disk(&disk), Path::new(DIR), Arc::clone(&config), after_crash(0));
    let (mut log, _) = open().unwrap();
    assert_eq!(log.topic_id(), None);
    let batch = batch(1, 10, 0);
    log.append_as_leader(ValidBatch::own(batch).unwrap(), LeaderEpoch(0), 0).unwrap();
    drop(log);
    assert!(matches!(open(), Err(StorageError::Corrupt { .. })), "whose records are they?");
}

/// Simulated nodes, seed 81133: a leader that wrote nothing, stopped, and then copied an older epoch's record.
#[test]
fn an_epoch_without_records_does_not_come_back() {
    let mut rig = Rig::new(LogConfig::default());
    rig.append(&batch(3, 10, 0));
    rig.log.assign_epoch_start(LeaderEpoch(1));
    rig.log.flush().unwrap();
    rig.close_and_reopen();
    rig.append(&batch(1, 10, 0));
    rig.log.flush().unwrap();
    let epoch_0 = |log: &Log| log.end_offset_for_epoch(LeaderEpoch(0));
    assert_eq!(epoch_0(&rig.log), Some((LeaderEpoch(0), Offset(4))));
    let path = Path::new(DIR).join(crate::names::LEADER_EPOCH_CHECKPOINT);
    assert_eq!(rig.disk.read(&path).unwrap(), b"0\n1\n0 0\n");
    // A disk that has it from before is healed by what the records say.
    let file = rig.disk.open(&path, kalda_env::OpenMode::ReadWrite).unwrap();
    file.write_all_at(b"0\n2\n0 0\n1 3\n", 0).unwrap();
    rig.reopen(Cut::Kill, after_crash(0));
    assert_eq!(epoch_0(&rig.log), Some((LeaderEpoch(0), Offset(4))));
}
