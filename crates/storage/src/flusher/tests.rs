//! Group commit with real threads and a faulty disk.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use kalda_env::SystemThreads;
use kalda_model::{LeaderEpoch, Offset};
use kalda_records::{BatchBuilder, BatchOptions, ValidBatch};

use super::*;
use crate::fault_disk::{Cut, FaultDisk, Faults};
use crate::{Log, LogConfig, OpenOptions};

/// A partition as its owner keeps it: the log under a lock, and someone who waits.
struct Partition {
    log: Mutex<Log>,
    news: Sender<Result<Offset, String>>,
}

impl Flushable for Partition {
    fn take_dirty(&self) -> Result<Option<FlushWork>, StorageError> {
        self.log.lock().unwrap().take_dirty()
    }

    fn on_flushed(&self, done: Flushed) {
        let flushed = self.log.lock().unwrap().on_flushed(done);
        self.news.send(Ok(flushed)).unwrap();
    }

    fn on_flush_error(&self, error: &StorageError) {
        self.log.lock().unwrap().on_flush_error();
        self.news.send(Err(error.to_string())).unwrap();
    }
}

fn partition(disk: &FaultDisk, name: &str) -> (Arc<Partition>, Receiver<Result<Offset, String>>) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let config = Arc::new(LogConfig { segment_bytes: 2000, ..LogConfig::default() });
    let log = Log::create(&disk, &Path::new("/data").join(name), config, None, 0).unwrap();
    let (news, listener) = channel();
    (Arc::new(Partition { log: Mutex::new(log), news }), listener)
}

fn batch() -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(1, None, Some(&[7; 100]), &[]);
    builder.build().unwrap()
}

fn append(flusher: &Flusher, partition: &Arc<Partition>) -> Offset {
    let own = ValidBatch::own(batch()).unwrap();
    let appended = partition.log.lock().unwrap().append_as_leader(own, LeaderEpoch(0), 0);
    flusher.mark_dirty(Arc::clone(partition) as Arc<dyn Flushable>);
    appended.unwrap().last_offset
}

#[test]
fn whoever_waits_is_told_and_what_was_told_survives() {
    let disk = FaultDisk::default();
    let flusher =
        Flusher::start(Arc::new(disk.clone()), &SystemThreads, |error| panic!("{error}")).unwrap();
    let partitions: Vec<_> = (0..4).map(|index| partition(&disk, &format!("t-{index}"))).collect();
    std::thread::scope(|scope| {
        for (partition, news) in partitions {
            let flusher = &flusher;
            scope.spawn(move || {
                for _ in 0..200 {
                    let last = append(flusher, &partition);
                    while news.recv().unwrap().unwrap() <= last {}
                }
            });
        }
    });
    let after: Arc<dyn Disk> = Arc::new(disk.after(Cut::Forget));
    for index in 0..4 {
        let options = OpenOptions {
            clean_shutdown: false,
            recovery_point: Offset(0),
            log_start: Offset(0),
            now_ms: 0,
            is_synced: false,
        };
        let dir = format!("/data/t-{index}");
        let (log, report) =
            Log::open(&after, Path::new(&dir), Arc::new(LogConfig::default()), options).unwrap();
        assert_eq!(log.log_end_offset(), Offset(200), "{report:?}");
    }
}

#[test]
fn after_a_failed_sync_nobody_is_told_that_anything_is_durable() {
    let disk = FaultDisk::default();
    let (told, teller) = channel();
    let flusher = Flusher::start(Arc::new(disk.clone()), &SystemThreads, move |error| {
        told.send(error.to_string()).unwrap();
    });
    let flusher = flusher.unwrap();
    let (one, news_of_one) = partition(&disk, "one-0");
    let (other, news_of_other) = partition(&disk, "other-0");
    append(&flusher, &one);
    assert_eq!(news_of_one.recv().unwrap(), Ok(Offset(1)));
    disk.set_faults(Faults { sync: Some(0), ..Faults::default() });
    append(&flusher, &one);
    assert!(news_of_one.recv().unwrap().is_err());
    assert!(teller.recv().unwrap().contains("disk error"));
    disk.set_faults(Faults::default());
    append(&flusher, &other);
    assert!(news_of_other.recv().unwrap().is_err(), "the directory is offline");
    assert_eq!(other.log.lock().unwrap().flushed_offset(), Offset(0));
}

#[test]
fn the_end_of_the_flusher_finishes_what_was_marked() {
    let disk = FaultDisk::default();
    let flusher =
        Flusher::start(Arc::new(disk.clone()), &SystemThreads, |error| panic!("{error}")).unwrap();
    let (one, news) = partition(&disk, "one-0");
    append(&flusher, &one);
    drop(flusher);
    assert_eq!(news.try_recv().unwrap(), Ok(Offset(1)));
}

#[test]
fn what_is_marked_after_the_end_is_not_kept_alive() {
    let disk = FaultDisk::default();
    let flusher =
        Flusher::start(Arc::new(disk.clone()), &SystemThreads, |error| panic!("{error}")).unwrap();
    let (one, _news) = partition(&disk, "one-0");
    flusher.finish();
    append(&flusher, &one);
    assert_eq!(Arc::strong_count(&one), 1);
}
