//! Kills, power cuts and full disks: a decision that was flushed holds, the others hold whole or not
//! at all, and an epoch is never led twice.

use kalda_storage::fault_disk::{Cut, FaultDisk, Faults};

use kalda_protocol::stored::metadata::AbortTransactionRecord;

use super::*;
use crate::quorum::Effect;

/// What a life replayed, one decision after the other.
#[derive(Default)]
struct Decisions {
    made: Vec<Vec<String>>,
    /// Those of an open transaction.
    held: Option<Vec<String>>,
}

impl Decisions {
    fn replay(&mut self, records: &[MetadataRecord]) {
        let mut names = Vec::new();
        for record in records {
            match record {
                MetadataRecord::Topic(topic) => names.push(topic.name.clone()),
                MetadataRecord::BeginTransaction(_) => self.held = Some(Vec::new()),
                MetadataRecord::EndTransaction(_) => self.made.push(self.held.take().unwrap()),
                MetadataRecord::AbortTransaction(_) => drop(self.held.take().unwrap()),
                other => panic!("{other:?}"),
            }
        }
        match &mut self.held {
            Some(held) => held.append(&mut names),
            None if names.is_empty() => {}
            None => self.made.push(names),
        }
    }
}

/// A life that begins: what is committed at its start, as its controller sees it, who aborts what
/// nobody ended.
fn open(disk: &FaultDisk) -> (Alone, Decisions) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let opening = opening(&disk, Path::new("/data"));
    disk.create_dir_all(opening.log_dir).unwrap();
    let mut alone = Alone::open(&opening).unwrap();
    alone.flush();
    let mut decisions = Decisions::default();
    if let Some((_, records)) = alone.log.newest_snapshot_records().unwrap() {
        decisions.replay(&records);
    }
    for batch in alone.committed().unwrap() {
        decisions.replay(&batch.records);
    }
    if decisions.held.is_some() {
        let abort = AbortTransactionRecord { reason: None };
        alone.append(&[MetadataRecord::AbortTransaction(abort.clone())]).unwrap();
        alone.flush();
        decisions.replay(&[MetadataRecord::AbortTransaction(abort)]);
    }
    (alone, decisions)
}

fn decision(number: usize, records: usize) -> (Vec<String>, Vec<MetadataRecord>) {
    let names: Vec<String> = (0..records).map(|n| format!("{number}-{n}")).collect();
    let records = names.iter().map(|name| topic(name)).collect();
    (names, records)
}

/// A stream of numbers that a seed decides (splitmix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Many short lives of one disk, each ended by a power cut or a kill at some moment.
#[test]
fn decisions_that_were_flushed_survive_every_cut() {
    for seed in 0..150_u64 {
        let mut numbers = seed;
        let mut disk = FaultDisk::default();
        let mut expected: Vec<Vec<String>> = Vec::new();
        let mut epoch_before = LeaderEpoch(0);
        let mut number = 0;
        for life in 0..6 {
            let (mut log, replayed) = open(&disk);
            assert_eq!(replayed.made, expected, "seed {seed}, life {life}");
            assert!(log.quorum.epoch() > epoch_before, "seed {seed}: an epoch is led once");
            epoch_before = log.quorum.epoch();
            // What is replayed at a start is durable before anybody hears of it.
            log.flush();
            let mut durable = expected.len();
            for _ in 0..next(&mut numbers) % 12 {
                let (names, records) = decision(number, 1 + next(&mut numbers) as usize % 5);
                number += 1;
                log.append(&records).unwrap();
                expected.push(names);
                if next(&mut numbers).is_multiple_of(3) {
                    log.flush();
                    durable = expected.len();
                }
                if durable == expected.len() && next(&mut numbers).is_multiple_of(7) {
                    // A snapshot is one long decision to who replays it.
                    let all: Vec<_> = expected.concat();
                    let records: Vec<_> = all.iter().map(|name| topic(name)).collect();
                    log.snapshot(records);
                    expected = vec![all];
                    durable = 1;
                }
            }
            let seed = next(&mut numbers);
            let cut = match seed % 4 {
                0 => Cut::Kill,
                1 => Cut::Forget,
                2 => Cut::TearAtByte(seed),
                _ => Cut::TearBlocks(seed),
            };
            disk = disk.after(cut);
            drop(log);
            let (_, replayed) = open(&disk.after(Cut::Kill));
            let kept = replayed.made.len();
            assert!(kept >= durable, "{cut:?}: {kept} of {durable} in life {life}");
            assert_eq!(replayed.made[..], expected[..kept], "whole decisions, in order");
            expected.truncate(kept);
        }
    }
}

#[test]
fn what_is_too_large_for_a_batch_holds_whole_or_not_at_all() {
    // The first writes succeed: of the batch that begins it, of its parts, of the one that ends it.
    for writes in 0..6 {
        let disk = FaultDisk::default();
        let (mut log, _) = open(&disk);
        let (before, records) = decision(0, 2);
        log.append(&records).unwrap();
        log.flush();
        let (large, records) = decision(1, RECORDS_PER_BATCH_MAX + 1);
        disk.set_faults(Faults { write: Some(writes), ..Faults::default() });
        let is_whole = log.append(&records).is_ok();
        drop(log);
        disk.set_faults(Faults::default());
        let disk = disk.after(Cut::Kill);
        let (mut log, replayed) = open(&disk);
        let mut expected = vec![before];
        expected.extend(is_whole.then_some(large));
        assert_eq!(replayed.made.len(), expected.len(), "{writes} writes");
        assert_eq!(replayed.made, expected);
        assert_eq!(replayed.held, None, "what nobody ended is aborted");
        // What comes next does not become a part of it.
        let (after, records) = decision(2, 1);
        log.append(&records).unwrap();
        log.flush();
        drop(log);
        expected.push(after);
        assert_eq!(open(&disk.after(Cut::Forget)).1.made, expected, "{writes} writes");
    }
}

#[test]
fn damage_is_refused_again_at_every_start() {
    let disk = FaultDisk::default();
    let (mut log, _) = open(&disk);
    for number in 0..5 {
        log.append(&decision(number, 2).1).unwrap();
    }
    log.flush();
    drop(log);
    let dir = Path::new("/data/__cluster_metadata-0");
    disk.damage(&dir.join("00000000000000000000.log"), 200, |byte| byte ^ 1);
    let as_disk: Arc<dyn Disk> = Arc::new(disk);
    for _ in 0..3 {
        let refused = MetadataLog::open(&opening(&as_disk, Path::new("/data"))).unwrap_err();
        assert!(refused.to_string().contains("damaged"), "{refused}");
    }
}

/// The disk kept a later sector and lost an earlier one: seed 10184 of the whole nodes is one of these.
#[test]
fn a_sector_that_was_never_written_is_cut_and_the_node_starts() {
    let disk = FaultDisk::default();
    let (mut log, _) = open(&disk);
    let (before, records) = decision(0, 2);
    log.append(&records).unwrap();
    log.flush();
    let durable = log.log.end_offset();
    for number in 1..5 {
        log.append(&decision(number, 30).1).unwrap();
    }
    log.log.log_mut().flush().unwrap();
    drop(log);
    let path = Path::new("/data/__cluster_metadata-0/00000000000000000000.log");
    for at in 512..1024 {
        disk.damage(path, at, |_| 0);
    }
    for _ in 0..3 {
        let (log, replayed) = open(&disk);
        assert_eq!(replayed.made, std::slice::from_ref(&before));
        assert!(log.log.end_offset() > durable, "it leads and goes on");
    }
}

#[test]
fn a_log_that_lost_what_was_durable_is_refused() {
    let disk = FaultDisk::default();
    let (mut log, _) = open(&disk);
    for number in 0..5 {
        log.append(&decision(number, 2).1).unwrap();
    }
    log.flush();
    let durable = log.log.end_offset();
    drop(log);
    let path = Path::new("/data/__cluster_metadata-0/00000000000000000000.log");
    let file = disk.open(path, kalda_env::OpenMode::Read).unwrap();
    file.set_len(file.len().unwrap() - 20).unwrap();
    let as_disk: Arc<dyn Disk> = Arc::new(disk);
    let opening = Opening { recovery_point: durable, ..opening(&as_disk, Path::new("/data")) };
    for _ in 0..2 {
        assert!(MetadataLog::open(&opening).is_err());
    }
}

/// Simulated nodes, seed 81847: a follower that was cut, and lost its power before the recovery point was
/// written anew, did not start any more.
#[test]
fn whoever_keeps_the_recovery_point_is_told_of_a_cut() {
    let disk = FaultDisk::default();
    let (mut log, _) = open(&disk);
    for number in 0..5 {
        log.append(&decision(number, 2).1).unwrap();
    }
    log.flush();
    let cut_at = Offset(log.log.end_offset().0 - 2);
    let after = Effect::Resigned { epoch: LeaderEpoch(1) };
    let outcomes = log.log.carry_out(vec![Effect::Truncate(cut_at), after], 0).unwrap();
    assert_eq!(outcomes, [Outcome::Truncated, Outcome::Resigned { epoch: LeaderEpoch(1) }]);
    let end = log.log.end_offset();
    assert!(end <= cut_at);
    drop(log);
    let as_disk: Arc<dyn Disk> = Arc::new(disk.after(Cut::Forget));
    let opening = Opening { recovery_point: end, ..opening(&as_disk, Path::new("/data")) };
    assert_eq!(MetadataLog::open(&opening).unwrap().0.end_offset(), end);
}

#[test]
fn rot_is_found_after_a_clean_stop_too() {
    let disk = FaultDisk::default();
    let (mut log, _) = open(&disk);
    for number in 0..5 {
        log.append(&decision(number, 2).1).unwrap();
    }
    log.log.log_mut().close_clean().unwrap();
    drop(log);
    let path = Path::new("/data/__cluster_metadata-0/00000000000000000000.log");
    disk.damage(path, 300, |byte| byte ^ 1);
    let as_disk: Arc<dyn Disk> = Arc::new(disk);
    let opening = Opening { clean_shutdown: true, ..opening(&as_disk, Path::new("/data")) };
    let refused = MetadataLog::open(&opening).unwrap_err();
    assert!(refused.to_string().contains("damaged"), "{refused}");
}
