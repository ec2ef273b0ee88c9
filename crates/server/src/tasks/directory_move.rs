//! Moving a partition to another log directory of this broker (KIP-113).
//!
//! The bulk is copied while the partition goes on serving; only what came since is copied under its
//! lock, together with the switch. Until then the copy is a `-future` directory that a crash leaves
//! behind harmlessly.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kalda_env::{Disk, Ended, OpenMode, Worker};
use kalda_model::TopicPartition;
use kalda_storage::{Checkpoint, StorageError};
use parking_lot::{Condvar, Mutex};

use crate::broker::Broker;
use crate::directory::DataDirectory;
use crate::hosted::HostedPartition;
use crate::tasks::housekeeping;

/// Bytes copied at once.
const COPY_LEN: usize = 1024 * 1024;
/// Rounds of copying without the lock: each leaves less for the next.
const ROUNDS: usize = 3;

/// Starts the move on a thread of its own; nothing happens if the partition is there already.
pub(crate) fn start(
    broker: &Arc<Broker>,
    partition: &Arc<HostedPartition>,
    target: &Arc<DataDirectory>,
) {
    if Arc::ptr_eq(&partition.directory(), target) {
        return;
    }
    let moving = Arc::clone(broker);
    let (partition, target) = (Arc::clone(partition), Arc::clone(target));
    let name = format!("{}-{}", partition.topic, partition.index);
    let run = move || {
        let moved = relocate(&moving, &partition, &target);
        let (from, to) = (partition.directory(), target.shown_path());
        match moved {
            Ok(true) => {
                let (topic, directory) = (partition.topic_id, partition.directory().id);
                moving.directory_assignments.add(topic, partition.index, directory);
                tracing::info!("{name} moved to {to}");
            }
            Ok(false) => tracing::info!("{name} was deleted while it moved to {to}"),
            Err(error) => tracing::error!(
                "{name} stays in {}: it could not be copied to {to}: {error}",
                from.shown_path()
            ),
        }
    };
    match broker.threads.run("kalda-move", Box::new(run)) {
        Ok(thread) => broker.moves.add(thread),
        Err(error) => tracing::error!(%error, "no thread to move a partition between directories"),
    }
}

/// The moves that may be under way. A stop waits for them: two must not close one log.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    threads: Mutex<Vec<Box<dyn Worker>>>,
    /// Told when all of them are to end.
    ending: Condvar,
    is_ending: Mutex<bool>,
}

impl Moves {
    fn add(&self, thread: Box<dyn Worker>) {
        let mut threads = self.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
    }

    /// Holds up a move, but not a stop.
    fn rest(&self, time: Duration) {
        let mut is_ending = self.is_ending.lock();
        if !*is_ending {
            self.ending.wait_for(&mut is_ending, time);
        }
    }

    /// Waits for those that are under way; once the broker stops they give up after a round.
    pub(crate) fn finish(&self) {
        *self.is_ending.lock() = true;
        self.ending.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join() == Ended::Panicked {
                tracing::error!("a move between directories panicked");
            }
        }
    }
}

fn relocate(
    broker: &Broker,
    partition: &Arc<HostedPartition>,
    target: &Arc<DataDirectory>,
) -> Result<bool, StorageError> {
    let name = TopicPartition::new(Arc::clone(&partition.topic), partition.index);
    let unique = kalda_model::Uuid::from_bytes(kalda_env::random_uuid_bytes(&*broker.rng));
    let source = partition.directory();
    let from = source.storage.partition_dir(&name);
    let future = target.storage.future_dir(&name, unique);
    let disk = &broker.disk;
    // Only what grows at its end can be copied in rounds.
    let _one_at_a_time = partition.rewrite();
    let failed = |source| StorageError::Disk { path: future.clone(), source };
    disk.create_dir_all(&future).map_err(failed)?;
    let copied = (|| {
        for _ in 0..ROUNDS {
            if broker.is_stopping() {
                return Err(failed(std::io::Error::other("the broker stops")));
            }
            copy_files(&**disk, &from, &future, Which::Logs, &|bytes| pace(broker, bytes))
                .map_err(failed)?;
        }
        let now_ms = broker.clock.wall_ms();
        let copy = || {
            // What is left is little, and the partition waits for it.
            copy_files(&**disk, &from, &future, Which::All, &|_| {}).map_err(failed)?;
            disk.rename(&future, &target.storage.partition_dir(&name)).map_err(failed)?;
            disk.sync_dir(target.path()).map_err(failed)
        };
        let retire = || {
            source.remove(partition);
            target.add(partition);
            let removed = source.storage.rename_for_delete(&name, unique)?;
            // Its files are not needed any more: readers hold theirs open.
            source.add_deleted(removed, now_ms);
            Ok(())
        };
        partition.switch_directory(target, &**disk, now_ms, &copy, &retire)
    })();
    match copied {
        Ok(true) => {
            // A start of the log that DeleteRecords set is known to the old directory only.
            housekeeping::write_checkpoint(target, Checkpoint::LogStart)?;
        }
        // A leftover is harmless: it is set aside at the next start.
        Ok(false) | Err(_) => drop(disk.remove_dir_all(&future)),
    }
    copied
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Segments only, as far as they go; synced, so that little is left to sync under the lock.
    Logs,
    /// Everything, and nothing that is not there any more; synced.
    All,
}

/// Holds the move back to `replica.alter.log.dirs.io.max.bytes.per.second`, after so many bytes.
fn pace(broker: &Broker, bytes: usize) {
    let quota = &broker.replication_quotas.directory_moves;
    quota.on_passed(bytes, broker.clock.monotonic_ms());
    while quota.available(broker.clock.monotonic_ms()) == Some(0) && !broker.is_stopping() {
        let ms = quota.ready_in_ms(broker.clock.monotonic_ms());
        broker.moves.rest(Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1)));
    }
}

fn copy_files(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    which: Which,
    on_copied: &dyn Fn(usize),
) -> std::io::Result<()> {
    let names = |dir: &Path| -> std::io::Result<Vec<String>> {
        let files = disk.list(dir)?.into_iter().filter(|entry| !entry.is_dir);
        Ok(files.map(|entry| entry.name).collect())
    };
    let present = names(from)?;
    for name in present.iter().filter(|name| which == Which::All || name.ends_with(".log")) {
        copy_rest(disk, &from.join(name), &to.join(name), on_copied)?;
    }
    if which == Which::All {
        for stale in names(to)?.iter().filter(|name| !present.contains(name)) {
            disk.remove_file(&to.join(stale))?;
        }
        disk.sync_dir(to)?;
    }
    Ok(())
}

/// Copies what `to` lacks at its end; files other than segments are copied anew.
fn copy_rest(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    on_copied: &dyn Fn(usize),
) -> std::io::Result<()> {
    let source = match disk.open(from, OpenMode::Read) {
        Ok(source) => source,
        // Retention took it meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let target = disk.open(to, OpenMode::Create)?;
    let is_log = from.extension().is_some_and(|extension| extension == "log");
    let mut position = if is_log { target.len()? } else { 0 };
    let mut buffer = vec![0; COPY_LEN];
    loop {
        let read = source.read_at(&mut buffer, position)?;
        if read == 0 {
            break;
        }
        target.write_all_at(&buffer[..read], position)?;
        position += read as u64;
        on_copied(read);
    }
    target.set_len(position)?;
    target.sync_data()
}
