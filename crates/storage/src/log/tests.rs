//! The log against a model, a clock and a faulty disk.

use bytes::Bytes;
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_records::{BatchBuilder, BatchIter, BatchOptions, EndTxnMarker, Producer, ValidBatch};

use super::*;
use crate::fault_disk::{Cut, FaultDisk, Faults};

mod append;
mod compact;
mod compact_life;
mod crash;
mod model;
mod reading;
mod retention;
mod transactions;

const DIR: &str = "/data/t-0";

/// One partition on a faulty disk.
struct Rig {
    disk: FaultDisk,
    config: Arc<LogConfig>,
    log: Log,
}

impl Rig {
    fn new(config: LogConfig) -> Self {
        let disk = FaultDisk::default();
        let config = Arc::new(config);
        let log = Log::create(&as_disk(&disk), Path::new(DIR), Arc::clone(&config), None, 0);
        Self { disk, config, log: log.unwrap() }
    }

    /// Answers how many.
    fn remove_doomed(&mut self, now_ms: i64) -> usize {
        let due = self.log.take_doomed(now_ms);
        due.iter().for_each(|path| self.disk.remove_file(path).unwrap());
        due.len()
    }

    fn append(&mut self, bytes: &Bytes) -> Appended {
        let batch = ValidBatch::own(bytes.clone()).unwrap();
        self.log.append_as_leader(batch, LeaderEpoch(0), 0).unwrap()
    }

    /// The process ends in some way, and the next one opens the log.
    fn reopen(&mut self, cut: Cut, options: OpenOptions) -> RecoveryReport {
        self.disk = self.disk.after(cut);
        let disk = as_disk(&self.disk);
        let opened = Log::open(&disk, Path::new(DIR), Arc::clone(&self.config), options);
        let (log, report) = opened.unwrap();
        self.log = log;
        report
    }

    fn close_and_reopen(&mut self) {
        self.log.close_clean().unwrap();
        let options = OpenOptions {
            clean_shutdown: true,
            recovery_point: self.log.log_end_offset(),
            log_start: self.log.log_start_offset(),
            now_ms: 0,
            is_synced: false,
        };
        let report = self.reopen(Cut::Kill, options);
        assert_eq!(report, RecoveryReport::default());
    }

    fn path(&self, base: i64, kind: &str) -> PathBuf {
        Path::new(DIR).join(crate::names::file_name(base, kind))
    }
}

fn as_disk(disk: &FaultDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn after_crash(recovery_point: i64) -> OpenOptions {
    OpenOptions {
        clean_shutdown: false,
        recovery_point: Offset(recovery_point),
        log_start: Offset(0),
        now_ms: 0,
        is_synced: false,
    }
}

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 200, ..LogConfig::default() }
}

/// A batch of `count` records of `len` bytes.
fn batch(count: usize, len: usize, timestamp: i64) -> Bytes {
    batch_of(BatchOptions::default(), count, len, timestamp)
}

fn batch_of(options: BatchOptions, count: usize, len: usize, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for index in 0..count {
        let value = vec![(timestamp as usize + index) as u8; len];
        builder.append(timestamp, Some(b"k"), Some(&value), &[]);
    }
    builder.build().unwrap()
}

fn idempotent(id: i64, epoch: i16, base_sequence: i32, count: usize) -> Bytes {
    let producer = Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence };
    batch_of(BatchOptions { producer, ..BatchOptions::default() }, count, 10, 1000)
}

fn transactional(id: i64, epoch: i16, base_sequence: i32, count: usize) -> Bytes {
    let producer = Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence };
    let options = BatchOptions { producer, is_transactional: true, ..BatchOptions::default() };
    batch_of(options, count, 10, 1000)
}

fn marker(id: i64, epoch: i16, committed: bool, coordinator_epoch: i32) -> Bytes {
    let marker = EndTxnMarker { committed, coordinator_epoch };
    let mut builder = BatchBuilder::new(BatchOptions {
        producer: Producer {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            base_sequence: kalda_records::NO_SEQUENCE,
        },
        is_transactional: true,
        is_control: true,
        ..BatchOptions::default()
    });
    builder.append(2000, Some(&marker.key()), Some(&marker.value()), &[]);
    builder.build().unwrap()
}

/// Everything from `from` up to the log's end, as one piece.
fn read_all(log: &Log, from: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = from;
    while next < log.log_end_offset().0 {
        // Behind the last batch there may be a gap up to the end.
        let Some(slice) = read(log, next, 300, i64::MAX) else { break };
        let piece = slice.read_bytes().unwrap();
        next = BatchIter::new(&piece).last().unwrap().unwrap().next_offset().0;
        bytes.extend_from_slice(&piece);
    }
    bytes
}

fn read(log: &Log, from: i64, max_bytes: usize, upper: i64) -> Option<LogSlice> {
    let options = ReadOptions { max_bytes, upper: Offset(upper), min_one_batch: true };
    log.read(Offset(from), options).unwrap()
}
