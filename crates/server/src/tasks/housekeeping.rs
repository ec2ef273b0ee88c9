//! The thread that does what has to be done from time to time: retention, rolling by age, removal of what
//! was deleted, checkpoints, and the flushes of page-cache mode. All of it waits for the disk, and the
//! removal of large files for a tenth of a second and more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kalda_env::{Ended, Next, Worker};
use kalda_model::{CLUSTER_METADATA_TOPIC, Offset, TopicPartition};
use kalda_storage::{Checkpoint, StorageError};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::broker::Broker;
use crate::directory::DataDirectory;

/// How often it looks whether something is due. It touches partitions only when it is.
const TICK: Duration = Duration::from_secs(1);

/// Before the first look at retention: a start has more urgent things to do.
const FIRST_RETENTION_MS: i64 = 30_000;

/// When each of the duties is due next, on the monotonic clock.
struct Due {
    retention_ms: i64,
    checkpoint_ms: i64,
    high_watermarks_ms: i64,
}

/// The housekeeping of a broker, as the one who stops it knows it.
#[derive(Debug, Default)]
pub(crate) struct Housekeeper {
    worker: Mutex<Option<Box<dyn Worker>>>,
    /// Those who wait for the starts of the logs to be written.
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Housekeeper {
    /// Returns when the starts that the logs have now are on disk, or their directory is known to have
    /// failed. Whoever comes meanwhile shares the next write.
    pub(crate) async fn write_log_starts(&self, broker: &Broker) {
        let (sender, written) = oneshot::channel();
        self.waiting.lock().push(sender);
        if let Some(worker) = &*self.worker.lock() {
            worker.waker().wake();
        }
        let is_written = tokio::select! {
            biased;
            written = written => written.is_ok(),
            () = broker.stopping() => false,
        };
        if !is_written {
            // The thread may be at its end.
            write_everywhere(broker, Checkpoint::LogStart);
        }
    }

    fn serve_waiting(&self, broker: &Broker) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        if waiting.is_empty() {
            return;
        }
        write_everywhere(broker, Checkpoint::LogStart);
        for written in waiting {
            // Who waited for it may be gone.
            let _gone = written.send(());
        }
    }

    /// Ends the thread and waits for it: its view of the logs must not be written over the last one.
    pub(crate) fn finish(&self) {
        let Some(worker) = self.worker.lock().take() else { return };
        worker.waker().wake();
        if worker.join() == Ended::Panicked {
            tracing::error!("the housekeeping panicked");
        }
    }

    fn has_ended(&self) -> bool {
        self.worker.lock().as_ref().is_some_and(|worker| worker.is_finished())
    }
}

/// Starts the thread, and watches over it until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>) {
    let mut rounds = Rounds::new(Arc::clone(&broker));
    match broker.threads.repeat("kalda-housekeeping", Box::new(move || rounds.pass())) {
        Ok(worker) => *broker.housekeeper.worker.lock() = Some(worker),
        Err(error) => {
            return broker.stop.ask(Some(format!("no thread for the housekeeping: {error}")));
        }
    }
    loop {
        tokio::select! {
            biased;
            () = broker.stopping() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        assert!(!broker.housekeeper.has_ended(), "the housekeeping has panicked");
    }
}

/// What the thread knows from round to round.
struct Rounds {
    broker: Arc<Broker>,
    due: Due,
    has_begun: bool,
}

impl Rounds {
    fn new(broker: Arc<Broker>) -> Self {
        let now_ms = broker.clock.monotonic_ms();
        let interval_ms = broker.config.number("log.retention.check.interval.ms");
        let due = Due {
            retention_ms: now_ms + FIRST_RETENTION_MS.min(interval_ms),
            checkpoint_ms: now_ms + checkpoint_interval_ms(&broker),
            high_watermarks_ms: now_ms + high_watermarks_interval_ms(&broker),
        };
        Self { broker, due, has_begun: false }
    }

    fn pass(&mut self) -> Next {
        let broker = &self.broker;
        if broker.is_stopping() {
            return Next::Never;
        }
        broker.housekeeper.serve_waiting(broker);
        if std::mem::replace(&mut self.has_begun, true) {
            tick(broker, &mut self.due);
        } else {
            remove_deleted(broker);
        }
        let left_ms = self.due.high_watermarks_ms - broker.clock.monotonic_ms();
        Next::After(TICK.min(Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))))
    }
}

fn checkpoint_interval_ms(broker: &Broker) -> i64 {
    broker.config.number("log.flush.offset.checkpoint.interval.ms")
}

fn high_watermarks_interval_ms(broker: &Broker) -> i64 {
    broker.config.number("replica.high.watermark.checkpoint.interval.ms").max(1)
}

fn tick(broker: &Arc<Broker>, due: &mut Due) {
    let now_ms = broker.clock.monotonic_ms();
    flush_relaxed(broker);
    if now_ms >= due.retention_ms {
        due.retention_ms = now_ms + broker.config.number("log.retention.check.interval.ms");
        clean(broker);
    }
    if now_ms >= due.checkpoint_ms {
        due.checkpoint_ms = now_ms + checkpoint_interval_ms(broker);
        for which in [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::Cleaner] {
            write_everywhere(broker, which);
        }
    }
    if now_ms >= due.high_watermarks_ms {
        due.high_watermarks_ms = now_ms + high_watermarks_interval_ms(broker);
        write_everywhere(broker, Checkpoint::HighWatermark);
    }
    remove_files(broker);
}

fn write_everywhere(broker: &Broker, which: Checkpoint) {
    for directory in &broker.directories {
        if let Err(error) = write_checkpoint(directory, which) {
            directory.fail(&error);
        }
    }
}

/// Page-cache mode: flushes what has waited for `flush.ms`.
fn flush_relaxed(broker: &Arc<Broker>) {
    let now_ms = broker.clock.wall_ms();
    for directory in &broker.directories {
        for partition in directory.take_relaxed() {
            if partition.flush_if_due(now_ms).is_some() {
                directory.add_relaxed(&partition);
            }
        }
    }
}

/// Retention by time, size and start offset, and rolling by age, for every partition.
fn clean(broker: &Arc<Broker>) {
    let now_ms = broker.clock.wall_ms();
    for partition in broker.partitions.all() {
        if broker.is_stopping() {
            return;
        }
        let cleaned = partition.with_log(|log, state| {
            log.roll_if_needed(now_ms)?;
            log.expire_producers(now_ms);
            if !log.config().cleanup_policy.delete {
                // A compacted log still drops what DeleteRecords asked for.
                return Ok(Vec::new());
            }
            log.retain(now_ms, state.high_watermark())
        });
        match cleaned {
            Ok(Ok(gone)) => {
                for (segment, reason) in gone {
                    tracing::info!(
                        "deleted segment {} of {}-{} ({} bytes): {reason:?}",
                        segment.base_offset,
                        partition.topic,
                        partition.index,
                        segment.size
                    );
                }
                partition.directory().note_removal();
            }
            Ok(Err(error)) => partition.directory().fail(&error),
            Err(_retired) => {}
        }
    }
}

/// Removes files whose `file.delete.delay.ms` is over, and the directories of deleted topics.
fn remove_files(broker: &Arc<Broker>) {
    let now_ms = broker.clock.wall_ms();
    for directory in broker.directories.iter().filter(|directory| directory.take_removal_note()) {
        let mut is_more_to_come = false;
        for partition in directory.hosted() {
            let doomed = partition.with_log(|log, _| {
                let due = log.take_doomed(now_ms);
                is_more_to_come |= log.next_removal_ms().is_some();
                due
            });
            // Without the lock: nobody is to wait for a large file to be gone.
            for path in doomed.unwrap_or_default() {
                broker.housekeeper.serve_waiting(broker);
                if let Err(error) = directory.storage.remove_doomed(&path) {
                    directory.fail(&error);
                }
            }
        }
        if is_more_to_come {
            directory.note_removal();
        }
    }
    for directory in &broker.directories {
        for path in directory.take_deleted_before(now_ms) {
            broker.housekeeper.serve_waiting(broker);
            if let Err(error) = directory.storage.remove_deleted(&path) {
                directory.fail(&error);
            }
        }
    }
}

/// Removes what an earlier life had deleted and not yet removed.
fn remove_deleted(broker: &Arc<Broker>) {
    for directory in &broker.directories {
        let leftover: Vec<PathBuf> = match directory.storage.partitions() {
            Ok(found) => found.deleted,
            Err(error) => {
                directory.fail(&error);
                continue;
            }
        };
        for path in leftover {
            broker.housekeeper.serve_waiting(broker);
            if let Err(error) = directory.storage.remove_deleted(&path) {
                directory.fail(&error);
            }
        }
    }
}

/// Writes the recovery points, high watermarks, log starts and cleaner points of one directory.
pub(crate) fn write_checkpoints(directory: &DataDirectory) -> Result<(), StorageError> {
    write_checkpoint(directory, Checkpoint::RecoveryPoint)?;
    write_checkpoint(directory, Checkpoint::HighWatermark)?;
    write_checkpoint(directory, Checkpoint::LogStart)?;
    write_checkpoint(directory, Checkpoint::Cleaner)
}

/// Writes one of the checkpoints of a directory. One that is offline keeps what it has: its
/// partitions answer nothing any more, and an empty checkpoint would forget what they were.
pub(crate) fn write_checkpoint(
    directory: &DataDirectory,
    which: Checkpoint,
) -> Result<(), StorageError> {
    // An older view must not be written over a newer one.
    let mut high_watermarks = directory.checkpoints.lock();
    let mut offsets = BTreeMap::new();
    for partition in directory.hosted() {
        let offset = partition.with_log(|log, state| match which {
            Checkpoint::RecoveryPoint => Some(log.flushed_offset()),
            Checkpoint::HighWatermark => Some(state.high_watermark()),
            Checkpoint::Cleaner => {
                let cleaned = log.cleaner_offset();
                (cleaned > Offset::ZERO).then_some(cleaned)
            }
            Checkpoint::LogStart => {
                let first = log.segments().next().map(|first| first.base_offset);
                let start = log.log_start_offset();
                (start > first.unwrap_or(Offset::ZERO)).then_some(start)
            }
        });
        if let Ok(Some(offset)) = offset {
            let name = TopicPartition::new(Arc::clone(&partition.topic), partition.index);
            offsets.insert(name, offset);
        }
    }
    if let (Checkpoint::RecoveryPoint, Some(flushed)) = (which, directory.metadata_flushed()) {
        let name = TopicPartition::new(CLUSTER_METADATA_TOPIC, 0);
        offsets.insert(name, flushed);
    }
    if directory.storage.is_offline() {
        return Ok(());
    }
    if which == Checkpoint::HighWatermark && *high_watermarks == offsets {
        return Ok(());
    }
    directory.storage.store_checkpoint(which, &offsets)?;
    if which == Checkpoint::HighWatermark {
        *high_watermarks = offsets;
    }
    Ok(())
}
