//! One entry of `log.dirs`: its lock, its identity, its checkpoints, its partitions.
//!
//! Owned by the server; partitions' logs do not know it. An error of the disk takes it offline for
//! good: [`LogDirectory::set_offline`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kalda_env::disk::Space;
use kalda_env::{Disk, DiskFile};
use kalda_model::{BrokerEpoch, Offset, TopicPartition, Uuid};

use crate::checkpoint::{read_offsets, write_offsets};
use crate::error::StorageError;
use crate::log::BULK_LEN_MIN;

mod clean_shutdown;
mod meta_properties;

pub use meta_properties::{MalformedMeta, MetaProperties};

const LOCK: &str = ".lock";
const META_PROPERTIES: &str = "meta.properties";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// What a deleted partition's directory ends with, until it is removed.
const DELETE_SUFFIX: &str = "-delete";
/// What the directory of a replica that moves between log directories ends with.
const FUTURE_SUFFIX: &str = "-future";
/// What the directory of a replica that belongs to no topic any more ends with.
const STRAY_SUFFIX: &str = "-stray";
/// The longest name of a directory that is made of a topic's name and a suffix.
const NAME_LEN_MAX: usize = 255;

/// The offset checkpoints of a log directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checkpoint {
    /// Everything below is durable.
    RecoveryPoint,
    /// The high watermarks.
    HighWatermark,
    /// The log starts, where they are not the first segment's base.
    LogStart,
    /// Up to where logs were compacted, where they were.
    Cleaner,
}

impl Checkpoint {
    /// Its file name.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery-point-offset-checkpoint",
            Self::HighWatermark => "replication-offset-checkpoint",
            Self::LogStart => "log-start-offset-checkpoint",
            Self::Cleaner => "cleaner-offset-checkpoint",
        }
    }
}

/// A log directory, locked.
#[derive(Debug)]
pub struct LogDirectory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Held, not read.
    _lock: Arc<dyn DiskFile>,
    is_offline: AtomicBool,
}

/// What a listing of a log directory found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partitions {
    /// The partitions, in order.
    pub present: Vec<TopicPartition>,
    /// Directories of deleted partitions that are still to be removed.
    pub deleted: Vec<PathBuf>,
    /// Directories of replicas that were set aside or were moving.
    pub set_aside: Vec<PathBuf>,
}

impl LogDirectory {
    /// Makes the directory if need be and locks it.
    ///
    /// # Errors
    /// The disk failed, or another process holds the lock.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, StorageError> {
        disk.create_dir_all(path).map_err(StorageError::disk(path))?;
        let lock_path = path.join(LOCK);
        let lock = disk.lock(&lock_path).map_err(StorageError::disk(&lock_path))?;
        let lock = lock.ok_or_else(|| StorageError::Locked { path: path.to_owned() })?;
        Ok(Self { disk, path: path.to_owned(), _lock: lock, is_offline: AtomicBool::new(false) })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk that it is on.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Whether an error took it offline.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.is_offline.load(Ordering::Acquire)
    }

    /// Takes it offline; answers whether it was online.
    pub fn set_offline(&self) -> bool {
        !self.is_offline.swap(true, Ordering::AcqRel)
    }

    /// The room of its file system.
    ///
    /// # Errors
    /// The disk failed.
    pub fn space(&self) -> Result<Space, StorageError> {
        self.disk.space(&self.path).map_err(StorageError::disk(&self.path))
    }

    /// Its `meta.properties`; `None` if it was never formatted.
    ///
    /// # Errors
    /// The disk failed, or the file is damaged.
    pub fn meta_properties(&self) -> Result<Option<MetaProperties>, StorageError> {
        let Some(text) = self.read_text(META_PROPERTIES)? else { return Ok(None) };
        let parsed = MetaProperties::parse(&text).map_err(|error| {
            StorageError::corrupt(self.path.join(META_PROPERTIES), error.to_string())
        })?;
        Ok(Some(parsed))
    }

    /// Writes its `meta.properties`, durably.
    ///
    /// # Errors
    /// The disk failed.
    pub fn store_meta_properties(&self, meta: &MetaProperties) -> Result<(), StorageError> {
        self.replace(META_PROPERTIES, &meta.to_text())
    }

    /// Whether it was closed clean, and with which broker epoch. Removes the marker, durably: from
    /// here on a crash is a crash.
    ///
    /// # Errors
    /// The disk failed.
    pub fn take_clean_shutdown(&self) -> Result<Option<BrokerEpoch>, StorageError> {
        let Some(text) = self.read_text(CLEAN_SHUTDOWN)? else { return Ok(None) };
        let path = self.path.join(CLEAN_SHUTDOWN);
        self.disk.remove_file(&path).map_err(StorageError::disk(&path))?;
        self.disk.sync_dir(&self.path).map_err(StorageError::disk(&self.path))?;
        Ok(Some(clean_shutdown::parse(&text)))
    }

    /// Makes durable what a crash may have left in the page cache alone, where one sync of the whole
    /// file system is quicker than one for each of that many logs. Answers whether it is.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync_after_crash(&self, logs: usize) -> Result<bool, StorageError> {
        if logs < BULK_LEN_MIN {
            return Ok(false);
        }
        self.disk.sync_filesystem(&self.path).map_err(StorageError::disk(&self.path))?;
        Ok(true)
    }

    /// Marks it as closed clean. Only after every log was closed and every checkpoint written.
    ///
    /// # Errors
    /// The disk failed.
    pub fn mark_clean_shutdown(&self, epoch: BrokerEpoch) -> Result<(), StorageError> {
        self.replace(CLEAN_SHUTDOWN, &clean_shutdown::to_text(epoch))
    }

    /// Reads a checkpoint; empty if it was never written.
    ///
    /// # Errors
    /// The disk failed, or the file is damaged.
    pub fn checkpoint(
        &self,
        which: Checkpoint,
    ) -> Result<BTreeMap<TopicPartition, Offset>, StorageError> {
        let Some(text) = self.read_text(which.file_name())? else { return Ok(BTreeMap::new()) };
        let entries = read_offsets(&text).map_err(|error| {
            StorageError::corrupt(self.path.join(which.file_name()), error.to_string())
        })?;
        Ok(entries.into_iter().collect())
    }

    /// Writes a checkpoint, durably.
    ///
    /// # Errors
    /// The disk failed.
    pub fn store_checkpoint(
        &self,
        which: Checkpoint,
        offsets: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<(), StorageError> {
        let text = write_offsets(offsets.iter().map(|(partition, offset)| (partition, *offset)));
        self.replace(which.file_name(), &text)
    }

    /// The directory of a partition.
    #[must_use]
    pub fn partition_dir(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    /// Lists the partitions. Directories that are nobody's are left alone.
    ///
    /// # Errors
    /// The disk failed.
    pub fn partitions(&self) -> Result<Partitions, StorageError> {
        let mut found = Partitions::default();
        for entry in self.disk.list(&self.path).map_err(StorageError::disk(&self.path))? {
            let name = entry.name.as_str();
            if !entry.is_dir {
                continue;
            }
            if is_marked(name, DELETE_SUFFIX) {
                found.deleted.push(self.path.join(name));
            } else if is_marked(name, FUTURE_SUFFIX) || is_marked(name, STRAY_SUFFIX) {
                found.set_aside.push(self.path.join(name));
            } else if let Some(partition) = TopicPartition::from_directory_name(name) {
                found.present.push(partition);
            }
        }
        found.present.sort_unstable();
        found.deleted.sort_unstable();
        found.set_aside.sort_unstable();
        Ok(found)
    }

    /// Renames a partition's directory to `<topic>-<partition>.<unique>-delete`, durably, so that the
    /// topic may be made anew at once. Readers with open files go on. [`crate::Log::on_deleted`]
    /// comes first. Answers the new path.
    ///
    /// # Errors
    /// The disk failed.
    pub fn rename_for_delete(
        &self,
        partition: &TopicPartition,
        unique: Uuid,
    ) -> Result<PathBuf, StorageError> {
        let from = self.partition_dir(partition);
        let to = self.path.join(marked_name(partition, unique, DELETE_SUFFIX));
        self.disk.rename(&from, &to).map_err(StorageError::disk(&from))?;
        self.disk.sync_dir(&self.path).map_err(StorageError::disk(&self.path))?;
        Ok(to)
    }

    /// Renames the directory of a replica that the metadata does not know to
    /// `<topic>-<partition>.<unique>-stray`, to be looked at by an operator. Answers the new path.
    ///
    /// # Errors
    /// The disk failed.
    pub fn rename_stray(
        &self,
        partition: &TopicPartition,
        unique: Uuid,
    ) -> Result<PathBuf, StorageError> {
        let from = self.partition_dir(partition);
        let to = self.path.join(marked_name(partition, unique, STRAY_SUFFIX));
        self.disk.rename(&from, &to).map_err(StorageError::disk(&from))?;
        self.disk.sync_dir(&self.path).map_err(StorageError::disk(&self.path))?;
        Ok(to)
    }

    /// Where the copy of a partition that is moving here grows:
    /// `<topic>-<partition>.<unique>-future`.
    #[must_use]
    pub fn future_dir(&self, partition: &TopicPartition, unique: Uuid) -> PathBuf {
        self.path.join(marked_name(partition, unique, FUTURE_SUFFIX))
    }

    /// Removes a directory that [`LogDirectory::rename_for_delete`] made.
    ///
    /// # Errors
    /// The disk failed.
    ///
    /// # Panics
    /// When the path is not such a directory: a caller's bug must not remove a log.
    pub fn remove_deleted(&self, path: &Path) -> Result<(), StorageError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(
            path.parent() == Some(&*self.path) && is_marked(name, DELETE_SUFFIX),
            "only the directories of deleted partitions are removed"
        );
        self.disk.remove_dir_all(path).map_err(StorageError::disk(path))
    }

    /// Removes a file that a log of this directory has given up.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove_doomed(&self, path: &Path) -> Result<(), StorageError> {
        match self.disk.remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StorageError::Disk { path: path.to_owned(), source: error })
            }
            _ => Ok(()),
        }
    }

    fn read_text(&self, name: &str) -> Result<Option<String>, StorageError> {
        let path = self.path.join(name);
        match self.disk.read(&path) {
            Ok(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| StorageError::corrupt(&path, "it is not text")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StorageError::Disk { path, source: error }),
        }
    }

    fn replace(&self, name: &str, content: &str) -> Result<(), StorageError> {
        let path = self.path.join(name);
        self.disk.replace(&path, content.as_bytes()).map_err(StorageError::disk(&path))
    }
}

/// Whether `name` is `<topic>-<partition>.<32 hex digits><suffix>`.
fn is_marked(name: &str, suffix: &str) -> bool {
    let unique = name.strip_suffix(suffix).and_then(|rest| rest.rsplit_once('.'));
    unique.is_some_and(|(rest, unique)| {
        unique.len() == 32
            && unique.bytes().all(|byte| byte.is_ascii_hexdigit())
            && rest.rsplit_once('-').is_some_and(|(_, index)| index.parse::<u32>().is_ok())
    })
}

/// The name of a directory that was set aside; a long topic name is cut to fit.
fn marked_name(partition: &TopicPartition, unique: Uuid, suffix: &str) -> String {
    let tail = format!("-{}.{:032x}{suffix}", partition.partition, unique.0);
    let topic = &partition.topic[..partition.topic.len().min(NAME_LEN_MAX - tail.len())];
    format!("{topic}{tail}")
}

#[cfg(test)]
mod tests;
