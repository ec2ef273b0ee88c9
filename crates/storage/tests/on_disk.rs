//! A log directory on the real disk, through its whole life: what it holds is what Kafka's
//! `DumpLogSegments` reads. Set `KALDA_KEEP_DIR` to a new path to keep the directory for it.

#![expect(clippy::unwrap_used, reason = "these are tests, and so are their helpers")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use kalda_env::{Disk, FsDisk};
use kalda_model::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition, Uuid,
};
use kalda_records::{
    BatchBuilder, BatchOptions, BatchRules, Compression, EndTxnMarker, NO_SEQUENCE, NewHeader,
    Producer, ValidBatch,
};
use kalda_storage::{
    Checkpoint, Log, LogConfig, LogDirectory, MetaProperties, OpenOptions, ReadOptions,
    RecoveryReport, StorageError,
};

const NOW_MS: i64 = 1_700_000_000_000;

fn batch(options: BatchOptions, count: usize, at: i64) -> ValidBatch<'static> {
    let mut builder = BatchBuilder::new(options);
    for index in 0..count {
        let headers =
            [NewHeader { key: "h", value: Some(b"v") }, NewHeader { key: "", value: None }];
        let value = format!("value {index} of {at}").repeat(20);
        builder.append(NOW_MS + at, Some(b"key"), Some(value.as_bytes()), &headers);
    }
    let rules = BatchRules { now_ms: NOW_MS, ..BatchRules::default() };
    ValidBatch::validate(builder.build().unwrap().to_vec().leak(), &rules).unwrap()
}

fn producer(id: i64, base_sequence: i32) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence }
}

fn marker(id: i64, committed: bool) -> bytes::Bytes {
    let marker = EndTxnMarker { committed, coordinator_epoch: 3 };
    let mut builder = BatchBuilder::new(BatchOptions {
        producer: producer(id, NO_SEQUENCE),
        is_transactional: true,
        is_control: true,
        ..BatchOptions::default()
    });
    builder.append(NOW_MS, Some(&marker.key()), Some(&marker.value()), &[]);
    builder.build().unwrap()
}

fn fill(log: &mut Log) {
    let epoch = LeaderEpoch(2);
    let mut append = |options, count, at| {
        log.append_as_leader(batch(options, count, at), epoch, NOW_MS).unwrap();
    };
    for round in 0..40 {
        for compression in Compression::ALL {
            append(BatchOptions { compression, ..BatchOptions::default() }, 5, round);
        }
        let base_sequence = 3 * round as i32;
        let producer = producer(100, base_sequence);
        append(BatchOptions { producer, ..BatchOptions::default() }, 3, round);
    }
    for (id, committed) in [(200, true), (201, false), (202, false)] {
        let options = BatchOptions {
            producer: producer(id, 0),
            is_transactional: true,
            ..BatchOptions::default()
        };
        log.append_as_leader(batch(options, 2, 99), epoch, NOW_MS).unwrap();
        log.append_control(marker(id, committed), epoch, NOW_MS).unwrap();
    }
}

#[test]
fn a_directory_lives_is_closed_and_opened_again() {
    let temporary = tempfile::tempdir().unwrap();
    let keep = std::env::var_os("KALDA_KEEP_DIR").map(PathBuf::from);
    let root = keep.unwrap_or_else(|| temporary.path().join("data"));
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let config = Arc::new(LogConfig { segment_bytes: 64 * 1024, ..LogConfig::default() });
    let partition = TopicPartition::new("t", 0);
    let meta = MetaProperties {
        cluster_id: "c".to_owned(),
        node_id: BrokerId(1),
        directory_id: Some(Uuid(77)),
    };
    let topic_id = "mpav7dCVQWSJYovnmjBlpw".parse().unwrap();

    let directory = LogDirectory::open(Arc::clone(&disk), &root).unwrap();
    let second = LogDirectory::open(Arc::clone(&disk), &root).unwrap_err();
    assert!(matches!(second, StorageError::Locked { .. }));
    directory.store_meta_properties(&meta).unwrap();
    let dir = directory.partition_dir(&partition);
    let mut log = Log::create(&disk, &dir, Arc::clone(&config), Some(topic_id), NOW_MS).unwrap();
    fill(&mut log);
    let end = log.log_end_offset();
    log.close_clean().unwrap();
    directory
        .store_checkpoint(Checkpoint::RecoveryPoint, &BTreeMap::from([(partition.clone(), end)]))
        .unwrap();
    directory.mark_clean_shutdown(BrokerEpoch(5)).unwrap();
    drop((directory, log));

    let directory = LogDirectory::open(Arc::clone(&disk), &root).unwrap();
    assert_eq!(directory.meta_properties().unwrap(), Some(meta));
    assert_eq!(directory.partitions().unwrap().present, std::slice::from_ref(&partition));
    let recovery_point = directory.checkpoint(Checkpoint::RecoveryPoint).unwrap()[&partition];
    assert_eq!(recovery_point, end);
    assert_eq!(directory.take_clean_shutdown().unwrap(), Some(BrokerEpoch(5)));
    assert_eq!(directory.take_clean_shutdown().unwrap(), None);
    let mut options = OpenOptions {
        clean_shutdown: true,
        recovery_point,
        log_start: Offset(0),
        now_ms: NOW_MS,
        is_synced: false,
    };
    let (clean, report) = Log::open(&disk, &dir, Arc::clone(&config), options).unwrap();
    assert_eq!(report, RecoveryReport::default());
    assert_eq!((clean.log_end_offset(), clean.topic_id()), (end, Some(topic_id)));
    options.clean_shutdown = false;
    options.recovery_point = Offset(0);
    let (mut crashed, report) = Log::open(&disk, &dir, config, options).unwrap();
    assert_eq!((report.torn, report.missing), (None, None));
    assert_eq!(crashed.log_end_offset(), end);
    assert_eq!(crashed.aborted_transactions(Offset(0), end).unwrap().len(), 2);
    let options = ReadOptions { max_bytes: 1 << 20, upper: end, min_one_batch: true };
    let (one, other) = (clean.read(Offset(700), options), crashed.read(Offset(700), options));
    let (one, other) = (one.unwrap().unwrap(), other.unwrap().unwrap());
    assert_eq!((one.position, one.len), (other.position, other.len));
    assert!(one.file.as_fd().is_some());
    crashed.close_clean().unwrap();
}

#[test]
fn deleted_partitions_are_renamed_at_once_and_removed_later() {
    let temporary = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let directory = LogDirectory::open(Arc::clone(&disk), temporary.path()).unwrap();
    let partition = TopicPartition::new("x".repeat(249), 3);
    let dir = directory.partition_dir(&partition);
    Log::create(&disk, &dir, Arc::new(LogConfig::default()), None, 0).unwrap();
    let gone = directory.rename_for_delete(&partition, Uuid(0xabc)).unwrap();
    Log::create(&disk, &dir, Arc::new(LogConfig::default()), None, 0).unwrap();
    let found = directory.partitions().unwrap();
    assert_eq!(found.present, [partition]);
    assert_eq!(found.deleted, std::slice::from_ref(&gone));
    directory.remove_deleted(&gone).unwrap();
    assert!(directory.partitions().unwrap().deleted.is_empty());
}

/// Goes on with a partition that Kafka closed clean: opens it, appends, closes it clean, so that
/// Kafka can be started on it again. `KALDA_KAFKA_PARTITION` names its directory.
#[test]
#[ignore = "needs a directory that Kafka left"]
fn a_partition_that_kafka_left_goes_on() {
    let dir = PathBuf::from(std::env::var_os("KALDA_KAFKA_PARTITION").unwrap());
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let root = dir.parent().unwrap();
    let directory = LogDirectory::open(Arc::clone(&disk), root).unwrap();
    let name = dir.file_name().unwrap().to_str().unwrap();
    let partition = TopicPartition::from_directory_name(name).unwrap();
    let mut points = directory.checkpoint(Checkpoint::RecoveryPoint).unwrap();
    let epoch = directory.take_clean_shutdown().unwrap().unwrap();
    println!("{:?} {epoch:?} {points:?}", directory.meta_properties().unwrap().unwrap());
    let mut options = OpenOptions {
        clean_shutdown: false,
        recovery_point: Offset(0),
        log_start: Offset(0),
        now_ms: NOW_MS,
        is_synced: false,
    };
    let (crashed, report) = Log::open(&disk, &dir, Arc::default(), options).unwrap();
    println!("as after a crash: {report:?}");
    assert_eq!((report.torn, report.missing), (None, None));
    options.clean_shutdown = true;
    options.recovery_point = points[&partition];
    let (mut log, report) = Log::open(&disk, &dir, Arc::default(), options).unwrap();
    assert_eq!(report, RecoveryReport::default());
    assert_eq!(log.log_end_offset(), crashed.log_end_offset());
    assert_eq!(log.producers(), crashed.producers());
    println!("end {} {:?} {:?}", log.log_end_offset(), log.epochs(), log.producers());
    let leader_epoch = log.latest_epoch().unwrap();
    for compression in Compression::ALL {
        let options = BatchOptions { compression, ..BatchOptions::default() };
        log.append_as_leader(batch(options, 3, 1), leader_epoch, NOW_MS).unwrap();
    }
    log.close_clean().unwrap();
    points.insert(partition, log.log_end_offset());
    directory.store_checkpoint(Checkpoint::RecoveryPoint, &points).unwrap();
    directory.store_checkpoint(Checkpoint::HighWatermark, &points).unwrap();
    directory.mark_clean_shutdown(epoch).unwrap();
}

/// 10,000 partitions after a clean shutdown. Prints what it took; run with `--ignored --nocapture`.
#[test]
#[ignore = "writes 10,000 directories"]
fn ten_thousand_partitions_open_quickly() {
    let temporary = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let config = Arc::new(LogConfig::default());
    let dirs: Vec<_> =
        (0..10_000).map(|index| temporary.path().join(format!("t-{index}"))).collect();
    let clock = kalda_env::SystemClock::new();
    let now = || kalda_env::Clock::monotonic_ms(&clock);
    let start = now();
    for dir in &dirs {
        let mut log = Log::create(&disk, dir, Arc::clone(&config), Some(Uuid(9)), 0).unwrap();
        let options = BatchOptions { producer: producer(1, 0), ..BatchOptions::default() };
        log.append_as_leader(batch(options, 1, 0), LeaderEpoch(0), 0).unwrap();
        log.close_idle_files();
        let unsynced = log.take_dirty().unwrap();
        assert!(unsynced.is_some());
        std::fs::write(dir.join("leader-epoch-checkpoint"), "0\n1\n0 0\n").unwrap();
        log.take_snapshot().unwrap();
    }
    let made = now();
    let rss = resident_kib();
    let options = OpenOptions {
        clean_shutdown: true,
        recovery_point: Offset(1),
        log_start: Offset(0),
        now_ms: 0,
        is_synced: false,
    };
    let open = |dir| Log::open(&disk, dir, Arc::clone(&config), options).unwrap().0;
    let logs: Vec<Log> = dirs.iter().map(|dir| open(dir)).collect();
    let opened = now();
    assert!(logs.iter().all(|log| log.log_end_offset() == Offset(1)));
    let per_log = (resident_kib() - rss) * 1024 / 10_000;
    println!("made in {} ms, opened in {} ms, {per_log} bytes each", made - start, opened - made);
    assert!(opened - made < 2_000);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
