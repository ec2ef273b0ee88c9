//! Starts, snapshots, and what a crash may do to the log.

mod crash;

use kalda_env::FsDisk;
use kalda_protocol::stored::metadata::TopicRecord;

use super::*;

#[derive(Default)]
struct Seen(Vec<(String, i64)>);

impl Replay for Seen {
    fn replay(
        &mut self,
        records: &[MetadataRecord],
        end_offset: Offset,
        _epoch: LeaderEpoch,
    ) -> Result<(), String> {
        for record in records {
            if let MetadataRecord::Topic(topic) = record {
                self.0.push((topic.name.clone(), end_offset.0));
            }
        }
        Ok(())
    }
}

fn topic(name: &str) -> MetadataRecord {
    MetadataRecord::Topic(TopicRecord { name: name.into(), topic_id: Uuid(1000) })
}

fn try_open(dir: &Path) -> Result<(MetadataLog, Vec<(String, i64)>), OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let opening = Opening {
        disk: &disk,
        log_dir: dir,
        directory_id: Uuid(500),
        node: BrokerId(1),
        clean_shutdown: false,
        recovery_point: Offset::ZERO,
        now_ms: 1000,
    };
    let mut seen = Seen::default();
    MetadataLog::open(opening, &mut seen).map(|log| (log, seen.0))
}

#[test]
fn every_start_is_a_new_epoch_and_replays_what_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, seen) = try_open(dir.path()).unwrap();
    assert_eq!((log.epoch(), log.end_offset(), seen.len()), (LeaderEpoch(1), Offset(1), 0));
    assert_eq!(log.append(&[topic("a"), topic("b")], 1000).unwrap(), Offset(3));
    log.log_mut().flush().unwrap();
    drop(log);
    let (log, seen) = try_open(dir.path()).unwrap();
    assert_eq!(seen, [("a".to_owned(), 3), ("b".to_owned(), 3)]);
    assert_eq!((log.epoch(), log.end_offset()), (LeaderEpoch(2), Offset(4)));
}

#[test]
fn a_snapshot_stands_for_the_log_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = try_open(dir.path()).unwrap();
    let end = log.append(&[topic("a")], 1000).unwrap();
    log.log_mut().flush().unwrap();
    log.write_snapshot(&[topic("a")], end, 1000).unwrap();
    log.append(&[topic("b")], 1000).unwrap();
    log.log_mut().flush().unwrap();
    drop(log);
    let (_, seen) = try_open(dir.path()).unwrap();
    assert_eq!(seen, [("a".to_owned(), 2), ("b".to_owned(), 3)]);
}

#[test]
fn a_record_that_cannot_be_understood_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = try_open(dir.path()).unwrap();
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.append(1, None, Some(&[1, 99, 0]), &[]);
    let batch = ValidBatch::own(batch.build().unwrap()).unwrap();
    log.log.append_as_leader(batch, LeaderEpoch(1), 1).unwrap();
    log.log.flush().unwrap();
    drop(log);
    let error = try_open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("cannot be replayed: offset 1"), "{error}");
}
