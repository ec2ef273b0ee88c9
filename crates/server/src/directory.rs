//! A log directory of this broker: what storage knows of it, and its flusher.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use kalda_env::{Disk, Threads};
use kalda_model::{DirectoryId, Offset, TopicPartition};
use kalda_protocol::ErrorCode;
use kalda_storage::{Flusher, LogDirectory, StorageError};
use parking_lot::Mutex;

use crate::hosted::HostedPartition;
use crate::quorum::SharedMetadataLog;

/// One entry of `log.dirs`.
pub(crate) struct DataDirectory {
    pub(crate) storage: LogDirectory,
    pub(crate) id: DirectoryId,
    pub(crate) flusher: Flusher,
    /// Held from the look at the partitions until their checkpoint is written. The high watermarks as they were
    /// written last.
    pub(crate) checkpoints: Mutex<BTreeMap<TopicPartition, Offset>>,
    /// The path as it was configured: what clients are shown.
    shown_path: String,
    on_offline: OnOffline,
    /// Partitions in page-cache mode with records that are not flushed.
    relaxed: Mutex<Vec<Weak<HostedPartition>>>,
    /// Directories of deleted partitions, and when they may go.
    deleted: Mutex<Vec<(i64, PathBuf)>>,
    /// Whether some partition has files that are to be removed later.
    has_removals: AtomicBool,
    /// The metadata log, if it lives here.
    metadata_log: OnceLock<Arc<SharedMetadataLog>>,
    /// Whether idle partitions are being asked for their file descriptors.
    is_releasing: AtomicBool,
    threads: Arc<dyn Threads>,
    shared: Arc<Shared>,
}

/// Told once, with one line for the operator.
pub(crate) type OnOffline = Arc<dyn Fn(&DataDirectory, String) + Send + Sync>;

/// What the flusher's thread needs when the disk fails.
#[derive(Debug, Default)]
struct Shared {
    /// The partitions to retire then.
    hosted: Mutex<Vec<Weak<HostedPartition>>>,
    directory: OnceLock<Weak<DataDirectory>>,
}

impl fmt::Debug for DataDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DataDirectory").field(&self.shown_path).finish()
    }
}

impl DataDirectory {
    /// Takes over an opened directory and starts its flusher.
    pub(crate) fn start(
        disk: &Arc<dyn Disk>,
        threads: &Arc<dyn Threads>,
        storage: LogDirectory,
        id: DirectoryId,
        on_offline: OnOffline,
    ) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared::default());
        let for_flusher = Arc::clone(&shared);
        let flusher = Flusher::start(Arc::clone(disk), &**threads, move |error| {
            if let Some(directory) = for_flusher.directory.get().and_then(Weak::upgrade) {
                directory.fail(error);
            }
        })?;
        let shown_path = std::path::absolute(storage.path()).map_or_else(
            |_| storage.path().display().to_string(),
            |path| path.display().to_string(),
        );
        let directory = Arc::new(Self {
            storage,
            id,
            flusher,
            checkpoints: Mutex::default(),
            shown_path,
            on_offline,
            relaxed: Mutex::default(),
            deleted: Mutex::default(),
            has_removals: AtomicBool::new(false),
            metadata_log: OnceLock::new(),
            is_releasing: AtomicBool::new(false),
            threads: Arc::clone(threads),
            shared,
        });
        let _set_once = directory.shared.directory.set(Arc::downgrade(&directory));
        Ok(directory)
    }

    /// The metadata log lives here.
    pub(crate) fn set_metadata_log(&self, log: &Arc<SharedMetadataLog>) {
        let _set_once = self.metadata_log.set(Arc::clone(log));
    }

    /// Up to where the metadata log is durable, if it lives here.
    pub(crate) fn metadata_flushed(&self) -> Option<Offset> {
        self.metadata_log.get().map(|log| log.log.lock().log_mut().flushed_offset())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.storage.path()
    }

    /// Its absolute path, as clients are shown it.
    pub(crate) fn shown_path(&self) -> &str {
        &self.shown_path
    }

    /// Notes that a partition lives here.
    pub(crate) fn add(&self, partition: &Arc<HostedPartition>) {
        self.shared.hosted.lock().push(Arc::downgrade(partition));
    }

    /// The partitions that live here.
    pub(crate) fn hosted(&self) -> Vec<Arc<HostedPartition>> {
        self.shared.hosted()
    }

    /// Forgets a partition that moved away.
    pub(crate) fn remove(&self, partition: &Arc<HostedPartition>) {
        let is_other = |other: &Weak<HostedPartition>| other.as_ptr() != Arc::as_ptr(partition);
        self.shared.hosted.lock().retain(is_other);
    }

    /// Remembers that a partition in page-cache mode has something to flush in time.
    pub(crate) fn add_relaxed(&self, partition: &Arc<HostedPartition>) {
        self.relaxed.lock().push(Arc::downgrade(partition));
    }

    /// The partitions that have, which are forgotten here.
    pub(crate) fn take_relaxed(&self) -> Vec<Arc<HostedPartition>> {
        let taken = std::mem::take(&mut *self.relaxed.lock());
        taken.iter().filter_map(Weak::upgrade).collect()
    }

    /// Remembers that files of a partition here are to be removed later.
    pub(crate) fn note_removal(&self) {
        self.has_removals.store(true, Ordering::Release);
    }

    /// Whether there are such files; the note is taken away.
    pub(crate) fn take_removal_note(&self) -> bool {
        self.has_removals.swap(false, Ordering::AcqRel)
    }

    /// Remembers the directory of a deleted partition until `due_ms` on the wall clock.
    pub(crate) fn add_deleted(&self, path: PathBuf, due_ms: i64) {
        self.deleted.lock().push((due_ms, path));
    }

    /// The directories that are due, which are forgotten here.
    pub(crate) fn take_deleted_before(&self, now_ms: i64) -> Vec<PathBuf> {
        let mut deleted = self.deleted.lock();
        let due = deleted.extract_if(.., |(due_ms, _)| *due_ms <= now_ms);
        due.map(|(_, path)| path).collect()
    }

    /// How many partitions live here.
    pub(crate) fn partition_count(&self) -> usize {
        self.shared.hosted.lock().len()
    }

    /// The process has too many files open, which says nothing about the disk: partitions that are
    /// not being written give theirs back, and whoever asked is told to try again.
    fn release_descriptors(&self, error: &StorageError) {
        if self.is_releasing.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::warn!("{error}: raise the limit of open files (`ulimit -n`) of the broker");
        let shared = Arc::clone(&self.shared);
        let release = move || {
            for partition in shared.hosted() {
                // A partition that is gone has no files either.
                let _gone = partition.with_log(|log, _| log.close_idle_files());
            }
            if let Some(directory) = shared.directory.get().and_then(Weak::upgrade) {
                directory.is_releasing.store(false, Ordering::Release);
            }
        };
        // The caller may hold a partition's lock: another thread takes them in turn.
        let spawned = self.threads.run("kalda-release", Box::new(release));
        if let Err(error) = spawned {
            self.is_releasing.store(false, Ordering::Release);
            tracing::error!(%error, "no thread to close idle files");
        }
    }

    /// The disk failed: nothing here is served any more. Once, with one line that says why.
    pub(crate) fn fail(&self, error: &StorageError) {
        if is_out_of_descriptors(error) {
            return self.release_descriptors(error);
        }
        if !self.storage.set_offline() {
            return;
        }
        let is_full = matches!(error, StorageError::Disk { source, .. }
            if source.kind() == std::io::ErrorKind::StorageFull);
        let remedy = match is_full {
            true => "Its file system is full: free space on it, then restart the broker",
            false => "Free or repair the disk, then restart the broker",
        };
        let line = format!("log directory {} goes offline: {error}. {remedy}", self.shown_path);
        (self.on_offline)(self, line);
        let partitions = self.shared.hosted();
        // Retiring takes the partition's lock, which the caller may hold: another thread does it.
        let retire = move || {
            for partition in partitions {
                partition.retire(ErrorCode::KafkaStorageError);
            }
        };
        let spawned = self.threads.run("kalda-offline", Box::new(retire));
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to retire the partitions of the failed directory");
        }
    }
}

impl Shared {
    fn hosted(&self) -> Vec<Arc<HostedPartition>> {
        self.hosted.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

fn is_out_of_descriptors(error: &StorageError) -> bool {
    let StorageError::Disk { source, .. } = error else { return false };
    let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    limits.iter().any(|limit| source.raw_os_error() == Some(limit.raw_os_error()))
}
