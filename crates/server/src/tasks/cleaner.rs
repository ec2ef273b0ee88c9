//! The thread that compacts logs (`cleanup.policy=compact`), one after the other.
//!
//! It holds a partition's lock only to plan and to swap a segment in; the bulk is read and written
//! without. A stop waits for it, and it gives up between two batches.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use kalda_env::{Ended, Next, Worker};
use kalda_model::TopicId;
use kalda_protocol::ErrorCode;
use kalda_storage::{Checkpoint, CompactError, Compaction, StorageError};
use parking_lot::{Condvar, Mutex};

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::hosted::HostedPartition;
use crate::tasks::housekeeping;

/// The cleaner of a broker, as the one who stops it knows it.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    worker: Mutex<Option<Box<dyn Worker>>>,
    is_stopping: Mutex<bool>,
    stopping: Condvar,
}

impl Cleaner {
    /// Starts the thread, unless the settings forbid it.
    pub(crate) fn start(broker: &Arc<Broker>) {
        let config = &broker.config;
        if !config.flag("log.cleaner.enable") || config.number("log.cleaner.threads") == 0 {
            return;
        }
        let mut rounds = Rounds::new(Arc::clone(broker));
        match broker.threads.repeat("kalda-cleaner", Box::new(move || rounds.pass())) {
            Ok(worker) => *broker.cleaner.worker.lock() = Some(worker),
            Err(error) => tracing::error!(%error, "no thread to compact logs"),
        }
    }

    /// Ends the thread and waits for it: a log must not be closed while a segment is swapped.
    pub(crate) fn finish(&self) {
        *self.is_stopping.lock() = true;
        self.stopping.notify_all();
        let worker = self.worker.lock().take();
        if let Some(worker) = &worker {
            worker.waker().wake();
        }
        if worker.is_some_and(|worker| worker.join() == Ended::Panicked) {
            tracing::error!("the cleaner panicked");
        }
    }

    /// Waits for `ms`, or for a stop. Answers whether to go on.
    fn wait(&self, ms: i64) -> ControlFlow<()> {
        let wait = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let mut is_stopping = self.is_stopping.lock();
        if !*is_stopping {
            self.stopping.wait_for(&mut is_stopping, wait);
        }
        if *is_stopping { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What the thread knows from round to round.
struct Rounds {
    broker: Arc<Broker>,
    has_begun: bool,
    backoff_ms: i64,
    map_bytes: usize,
    /// Bytes per second that may be read and written.
    bytes_rate_max: f64,
    /// Partitions with a damaged batch: an operator must look at them first.
    uncleanable: HashSet<(TopicId, i32)>,
}

/// Bytes before and after.
#[derive(Default)]
struct Compacted {
    before: u64,
    after: u64,
    /// Whether every segment found its place.
    is_whole: bool,
}

impl Rounds {
    fn new(broker: Arc<Broker>) -> Self {
        let config = &broker.config;
        Self {
            has_begun: false,
            backoff_ms: config.number("log.cleaner.backoff.ms").max(MIN_BACKOFF_MS),
            map_bytes: usize::try_from(config.number("log.cleaner.dedupe.buffer.size"))
                .unwrap_or(0),
            bytes_rate_max: bytes_rate_max(config),
            uncleanable: HashSet::new(),
            broker,
        }
    }

    /// Looks at every partition once, but rests first.
    fn pass(&mut self) -> Next {
        if *self.broker.cleaner.is_stopping.lock() {
            return Next::Never;
        }
        if std::mem::replace(&mut self.has_begun, true) {
            for partition in self.broker.partitions.all() {
                let id = (partition.topic_id, partition.index);
                if self.broker.is_stopping() {
                    return Next::Never;
                }
                if !self.uncleanable.contains(&id) {
                    self.clean(&partition);
                }
            }
        }
        Next::After(Duration::from_millis(u64::try_from(self.backoff_ms).unwrap_or(0)))
    }

    fn clean(&mut self, partition: &HostedPartition) {
        // A partition that moves between directories is copied file by file.
        let Some(_one_at_a_time) = partition.try_rewrite() else { return };
        let now_ms = self.broker.clock.wall_ms();
        let planned =
            partition.with_log(|log, state| log.plan_compaction(state.high_watermark(), now_ms));
        let compaction = match planned {
            Ok(Ok(Some(compaction))) => compaction,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => return partition.on_disk_error(&error),
        };
        let (life, (from, to)) = (compaction.life(), compaction.range());
        let name = format!("{}-{}", partition.topic, partition.index);
        match self.compact(partition, compaction) {
            Ok(done) if done.is_whole => {
                tracing::info!(
                    "compacted {name} from offset {from} up to {to}: {} bytes became {}",
                    done.before,
                    done.after
                );
                let directory = partition.directory();
                directory.note_removal();
                if let Err(error) = housekeeping::write_checkpoint(&directory, Checkpoint::Cleaner)
                {
                    directory.fail(&error);
                }
            }
            Ok(_) => {
                partition.directory().note_removal();
                tracing::debug!("{name} changed while it was compacted");
            }
            Err(CompactError::Stopped) => {}
            Err(CompactError::NoRoom(error)) => {
                tracing::warn!("{name} is not compacted: {error}. Free the disk");
            }
            Err(CompactError::Storage(error)) => {
                // Files of a log that was deleted or moved may go while they are read.
                if partition.with_log(|log, _| log.is_current(&life)) == Ok(true) {
                    self.on_error(partition, &name, &error);
                }
            }
        }
    }

    fn on_error(&mut self, partition: &HostedPartition, name: &str, error: &StorageError) {
        if let StorageError::Corrupt { .. } = error {
            tracing::error!("{name} is not compacted until the broker is restarted: {error}");
            self.uncleanable.insert((partition.topic_id, partition.index));
        } else {
            partition.on_disk_error(error);
        }
    }

    fn compact(
        &self,
        partition: &HostedPartition,
        compaction: Compaction,
    ) -> Result<Compacted, CompactError> {
        let mut throttle = Throttle::new(self);
        let mut pace = |bytes| throttle.on_bytes(bytes);
        let mut done = Compacted { before: compaction.bytes(), ..Compacted::default() };
        done.after = done.before;
        let mut rewriting = compaction.map_keys(self.map_bytes, &mut pace)?;
        while let Some(rewritten) = rewriting.rewrite_next(&mut pace)? {
            let (before, after) = rewritten.bytes();
            let now_ms = self.broker.clock.wall_ms();
            let swapped = partition.with_log(|log, _| log.swap_in(rewritten, now_ms));
            let is_in = match swapped {
                Ok(swapped) => swapped.inspect_err(|error| partition.on_disk_error(error))?,
                Err(_retired) => false,
            };
            if !is_in {
                return Ok(done);
            }
            // A batch with a new horizon may be larger than before.
            done.after = (done.after + after).saturating_sub(before);
        }
        let noted: Result<(), ErrorCode> =
            partition.with_log(|log, _| log.on_compacted(&rewriting));
        done.is_whole = noted.is_ok();
        Ok(done)
    }
}

/// Even `log.cleaner.backoff.ms=0` does not mean to spin.
const MIN_BACKOFF_MS: i64 = 10;

fn bytes_rate_max(config: &BrokerConfig) -> f64 {
    let rate = config.text("log.cleaner.io.max.bytes.per.second");
    rate.and_then(|rate| rate.trim().parse().ok()).unwrap_or(f64::MAX)
}

/// Keeps the cleaner within `log.cleaner.io.max.bytes.per.second`, and ends it at a stop.
struct Throttle<'a> {
    rounds: &'a Rounds,
    since_ms: i64,
    bytes: u64,
}

impl<'a> Throttle<'a> {
    fn new(rounds: &'a Rounds) -> Self {
        Self { rounds, since_ms: rounds.broker.clock.monotonic_ms(), bytes: 0 }
    }

    fn on_bytes(&mut self, bytes: u64) -> ControlFlow<()> {
        let broker = &self.rounds.broker;
        if broker.is_stopping() {
            return ControlFlow::Break(());
        }
        self.bytes += bytes;
        let due_ms = self.bytes as f64 / self.rounds.bytes_rate_max * 1000.0;
        if due_ms < 1.0 {
            return ControlFlow::Continue(());
        }
        let spent_ms = broker.clock.monotonic_ms() - self.since_ms;
        let early_ms = due_ms as i64 - spent_ms;
        if early_ms > 0 { broker.cleaner.wait(early_ms) } else { ControlFlow::Continue(()) }
    }
}
