//! Starts, snapshots, and what a crash may do to the log.

mod alone;
mod crash;

use kalda_env::FsDisk;
use kalda_protocol::stored::metadata::TopicRecord;
use kalda_records::{BatchBuilder, BatchOptions};

use super::*;
use crate::quorum::Input;
use alone::{Alone, opening};

fn topic(name: &str) -> MetadataRecord {
    MetadataRecord::Topic(TopicRecord { name: name.into(), topic_id: Uuid(1000) })
}

fn names(records: &[MetadataRecord]) -> Vec<String> {
    let name = |record: &MetadataRecord| match record {
        MetadataRecord::Topic(topic) => Some(topic.name.clone()),
        _ => None,
    };
    records.iter().filter_map(name).collect()
}

/// Starts on `dir`; what is committed then, by name and end offset.
fn start(dir: &Path) -> (Alone, Vec<(String, i64)>) {
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let mut alone = Alone::open(&opening(&disk, dir)).unwrap();
    alone.flush();
    let snapshot = alone.log.newest_snapshot_records().unwrap();
    let snapshot = snapshot.map(|(id, records)| (names(&records), id.end_offset));
    let batches = alone.committed().unwrap();
    let batches = batches.iter().map(|batch| (names(&batch.records), batch.end_offset));
    let seen = snapshot.into_iter().chain(batches);
    let seen = seen.flat_map(|(names, end)| names.into_iter().map(move |name| (name, end.0)));
    let seen = seen.collect();
    (alone, seen)
}

#[test]
fn every_start_is_a_new_epoch_and_commits_what_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let (mut alone, seen) = start(dir.path());
    let epoch = alone.quorum.epoch();
    assert_eq!((epoch, alone.log.end_offset(), seen.len()), (LeaderEpoch(1), Offset(1), 0));
    assert_eq!(alone.append(&[topic("a"), topic("b")]).unwrap(), Offset(3));
    alone.flush();
    drop(alone);
    let (alone, seen) = start(dir.path());
    assert_eq!(seen, [("a".to_owned(), 3), ("b".to_owned(), 3)]);
    assert_eq!((alone.quorum.epoch(), alone.log.end_offset()), (LeaderEpoch(2), Offset(4)));
}

/// However long it takes to write one.
#[test]
fn the_log_goes_on_while_a_snapshot_of_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut alone, _) = start(dir.path());
    alone.append(&[topic("a")]).unwrap();
    alone.flush();
    let end = alone.log.end();
    let id = SnapshotId { end_offset: end.offset, epoch: end.epoch };
    let job = alone.log.begin_snapshot(id, None, 1000);
    alone.append(&[topic("b")]).unwrap();
    alone.flush();
    let written = std::thread::spawn(move || job.write(vec![topic("a")]).unwrap());
    alone.append(&[topic("c")]).unwrap();
    alone.finish_snapshot(written.join().unwrap());
    assert_eq!(alone.quorum.log().start_offset(), end.offset);
    alone.flush();
    drop(alone);
    let (_, seen) = start(dir.path());
    let seen: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(seen, ["a", "b", "c"]);
}

/// A leader's came meanwhile, and took the place of the log.
#[test]
fn a_snapshot_that_was_overtaken_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (mut alone, _) = start(dir.path());
    let end = alone.log.end();
    let late = SnapshotId { end_offset: end.offset, epoch: end.epoch };
    let job = alone.log.begin_snapshot(late, None, 1000);
    alone.append(&[topic("a")]).unwrap();
    alone.flush();
    alone.snapshot(vec![topic("a")]);
    let newest = alone.log.newest_snapshot_records().unwrap().unwrap().0;
    let written = job.write(Vec::new()).unwrap();
    assert!(!alone.log.finish_snapshot(written).unwrap());
    assert!(alone.log.read_snapshot(late, 0, 1).unwrap().is_none());
    assert_eq!(alone.log.newest_snapshot_records().unwrap().unwrap().0, newest);
}

#[test]
fn a_snapshot_stands_for_the_log_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut alone, _) = start(dir.path());
    alone.append(&[topic("a")]).unwrap();
    alone.flush();
    alone.snapshot(vec![topic("a")]);
    alone.append(&[topic("b")]).unwrap();
    alone.flush();
    drop(alone);
    let (_, seen) = start(dir.path());
    assert_eq!(seen, [("a".to_owned(), 2), ("b".to_owned(), 3)]);
}

#[test]
fn a_record_that_cannot_be_understood_is_told_with_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (mut alone, _) = start(dir.path());
    let options = BatchOptions {
        base_offset: Offset(1),
        leader_epoch: LeaderEpoch(1),
        ..BatchOptions::default()
    };
    let mut batch = BatchBuilder::new(options);
    batch.append(1, None, Some(&[1, 99, 0]), &[]);
    alone.log.log.append_as_follower(&batch.build().unwrap(), 1).unwrap();
    let error = alone.log.read_committed(Offset(1), Offset(2)).unwrap_err();
    assert!(error.to_string().contains("cannot be replayed: offset 1"), "{error}");
}

#[test]
fn voters_of_a_formatted_directory_become_records_of_the_first_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let key = crate::quorum::ReplicaKey { id: BrokerId(1), directory: Some(Uuid(500)) };
    let endpoint = crate::quorum::VoterEndpoint {
        listener: "CONTROLLER".into(),
        host: "localhost".into(),
        port: 9093,
    };
    let voter = crate::quorum::Voter { key, endpoints: vec![endpoint], kraft_versions: (0, 1) };
    let voters = VoterSet::new([voter]);
    crate::format(&*disk, dir.path(), &voters, 1000).unwrap();
    let opening = Opening { static_voters: VoterSet::default(), ..opening(&disk, dir.path()) };
    let mut alone = Alone::open(&opening).unwrap();
    alone.flush();
    assert_eq!(alone.log.end_offset(), Offset(3), "leader change, version, voters");
    drop(alone);
    let (log, restored) = MetadataLog::open(&opening).unwrap();
    assert_eq!((restored.log.voters(), restored.log.kraft_version()), (&voters, 1));
    assert!(log.newest_snapshot_records().unwrap().is_none(), "the first one is never served");
}
