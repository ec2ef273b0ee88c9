//! Coming up: a new partition, one that was closed clean, one that was not.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use kalda_env::{Disk, DiskFile};
use kalda_model::{Offset, TopicId};

use crate::checkpoint::{read_epochs, read_partition_metadata, write_partition_metadata};
use crate::config::LogConfig;
use crate::epochs::EpochCache;
use crate::error::StorageError;
use crate::names::{
    CLEANED_SUFFIX, DELETED_SUFFIX, Home, LEADER_EPOCH_CHECKPOINT, LOG, PARTITION_METADATA,
    SNAPSHOT, TMP_SUFFIX, parse,
};
use crate::producers::Producers;
use crate::segment::Segment;
use crate::tail::Tail;

use super::Log;
use super::compact::settle_swaps;
use super::flush::Unsynced;
use super::recovery::RecoveryReport;

/// What is known of a partition from outside of its directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenOptions {
    /// Whether the log directory was closed clean.
    pub clean_shutdown: bool,
    /// Everything below it was durable (`recovery-point-offset-checkpoint`).
    pub recovery_point: Offset,
    /// The first readable offset (`log-start-offset-checkpoint`), 0 if unknown.
    pub log_start: Offset,
    /// The wall clock.
    pub now_ms: i64,
    /// Whether a crash left nothing in the page cache alone:
    /// [`crate::LogDirectory::sync_after_crash`]. Else what is read is synced, file by file.
    pub is_synced: bool,
}

impl Log {
    /// Makes a partition that is not there yet. Its directory is durable after the first flush.
    ///
    /// # Errors
    /// The disk failed.
    pub fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        config: Arc<LogConfig>,
        topic_id: Option<TopicId>,
        now_ms: i64,
    ) -> Result<Self, StorageError> {
        disk.create_dir_all(dir).map_err(StorageError::disk(dir))?;
        let home = Self::home(disk, dir);
        let mut unsynced = Unsynced::of_new_directory(0);
        if let Some(id) = topic_id {
            unsynced.on_files(vec![write_topic_id(&home, id)?], 0);
        }
        let segments = vec![Segment::create(&home, 0, now_ms)?];
        Ok(Self {
            home,
            config,
            topic_id,
            segments,
            log_start: 0,
            log_end: 0,
            cleaned_upto: 0,
            epochs: EpochCache::default(),
            producers: Producers::default(),
            tail: Tail::default(),
            unsynced,
            doomed: Vec::new(),
            is_poisoned: false,
            closed_at: None,
            is_gone: Arc::default(),
        })
    }

    /// Writes down whose partition it is, where a crash left `partition.metadata` out. Durable with
    /// the next flush.
    ///
    /// # Errors
    /// The disk failed.
    pub fn set_topic_id(&mut self, id: TopicId) -> Result<(), StorageError> {
        let file = write_topic_id(&self.home, id)?;
        self.unsynced.on_files(vec![file], self.log_end);
        self.closed_at = None;
        self.topic_id = Some(id);
        Ok(())
    }

    /// Opens a partition's directory. After a clean shutdown that is a listing and a look at the
    /// sizes; else the end of the log is read and checked.
    ///
    /// # Errors
    /// The disk failed, or a file without which the log cannot be opened is damaged.
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        config: Arc<LogConfig>,
        mut options: OpenOptions,
    ) -> Result<(Self, RecoveryReport), StorageError> {
        let home = Self::home(disk, dir);
        let listing = Listing::read(&home)?;
        let mut segments = Vec::with_capacity(listing.bases.len().max(1));
        for base in &listing.bases {
            let path = home.path(*base, LOG);
            let size = disk.len(&path).map_err(StorageError::disk(&path))?;
            segments.push(Segment::existing(*base, size, options.now_ms));
        }
        if segments.is_empty() {
            segments.push(Segment::create(&home, options.log_start.0, options.now_ms)?);
            options.is_synced = false;
        }
        let log_start = options.log_start.0.max(segments[0].base);
        let is_empty = segments.iter().all(|segment| segment.size == 0);
        let mut log = Self {
            topic_id: topic_id(&home, listing.has_metadata, is_empty)?,
            epochs: epochs(&home, listing.has_epochs)?,
            home,
            config,
            segments,
            log_start,
            log_end: log_start,
            cleaned_upto: 0,
            producers: Producers::default(),
            tail: Tail::default(),
            unsynced: Unsynced::default(),
            doomed: Vec::new(),
            is_poisoned: false,
            closed_at: None,
            is_gone: Arc::default(),
        };
        let clean_end = if options.clean_shutdown {
            log.clean_end(&listing.snapshots, options.recovery_point.0)?
        } else {
            None
        };
        let report = match clean_end {
            Some(log_end) => {
                log.log_end = log_end;
                if log_end > log.log_start || !listing.snapshots.is_empty() {
                    log.rebuild_producers(log_end)?;
                }
                RecoveryReport::default()
            }
            None => log.recover(options)?,
        };
        log.log_start = log.log_start.min(log.log_end);
        if log.log_end < options.log_start.0 {
            log.truncate_fully_and_start_at(options.log_start, options.now_ms)?;
        }
        let is_cut = log.epochs.truncate_from_end(Offset(log.log_end));
        let is_raised = log.epochs.truncate_from_start(Offset(log.log_start));
        log.drop_stray_snapshots(&listing.snapshots)?;
        log.unsynced = Unsynced::flushed_up_to(log.log_end);
        log.closed_at = clean_end.filter(|end| listing.snapshots.last() == Some(end));
        // What is appended next must not stand beside epochs on disk that are gone here.
        if clean_end.is_none() || is_cut || is_raised {
            log.unsynced.on_epochs_changed();
        }
        Ok((log, report))
    }

    /// Snapshots that earlier closes left between segments; the newest one is of use.
    fn drop_stray_snapshots(&self, snapshots: &[i64]) -> Result<(), StorageError> {
        let older = snapshots.split_last().map_or(&[][..], |(_, older)| older);
        let is_base = |offset: &i64| self.segments.iter().any(|segment| segment.base == *offset);
        for stray in older.iter().filter(|offset| !is_base(offset)) {
            let path = self.home.path(*stray, SNAPSHOT);
            match self.home.disk.remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StorageError::Disk { path, source: error });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The end of a log that was closed clean; `None` when what is there does not look so.
    fn clean_end(
        &self,
        snapshots: &[i64],
        recovery_point: i64,
    ) -> Result<Option<i64>, StorageError> {
        let active = self.active();
        if active.size == 0 {
            return Ok(Some(active.base));
        }
        // The close wrote a snapshot at the end, and the recovery point is the end: two witnesses
        // spare opening the file.
        if recovery_point > active.base && snapshots.last() == Some(&recovery_point) {
            return Ok(Some(recovery_point));
        }
        match active.last_offset(&self.home) {
            Ok(last) => Ok(last.map(|last| last + 1)),
            Err(StorageError::Corrupt { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a partition's directory holds.
#[derive(Default)]
struct Listing {
    bases: Vec<i64>,
    snapshots: Vec<i64>,
    has_epochs: bool,
    has_metadata: bool,
}

impl Listing {
    /// Lists, and removes what an earlier life left half done.
    fn read(home: &Home) -> Result<Self, StorageError> {
        let mut listing = Self::default();
        let mut names = names(home)?;
        if settle_swaps(home, &names)? {
            names = self::names(home)?;
        }
        for name in &names {
            let name = name.as_str();
            if let Some(base) = parse(name, LOG) {
                listing.bases.push(base);
            } else if let Some(offset) = parse(name, SNAPSHOT) {
                listing.snapshots.push(offset);
            } else if [DELETED_SUFFIX, CLEANED_SUFFIX, TMP_SUFFIX]
                .iter()
                .any(|suffix| name.ends_with(suffix))
            {
                let path = home.dir.join(name);
                home.disk.remove_file(&path).map_err(StorageError::disk(&path))?;
            }
            listing.has_epochs |= name == LEADER_EPOCH_CHECKPOINT;
            listing.has_metadata |= name == PARTITION_METADATA;
        }
        listing.bases.sort_unstable();
        listing.snapshots.sort_unstable();
        Ok(listing)
    }
}

fn names(home: &Home) -> Result<BTreeSet<String>, StorageError> {
    let entries = home.disk.list(&home.dir).map_err(StorageError::disk(&home.dir))?;
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}

fn topic_id(home: &Home, is_there: bool, is_empty: bool) -> Result<Option<TopicId>, StorageError> {
    if !is_there {
        return Ok(None);
    }
    let text = text(home, PARTITION_METADATA)?;
    match read_partition_metadata(&text) {
        Ok(id) => Ok(Some(id)),
        // A disk that was full when the partition was made may have taken a part of it.
        Err(_) if is_empty => Ok(None),
        // It is written without a sync when the partition is made: a crash may leave it empty.
        Err(_) if text.trim_matches(['\0', ' ', '\n']).is_empty() => Ok(None),
        Err(error) => {
            Err(StorageError::corrupt(home.dir.join(PARTITION_METADATA), error.to_string()))
        }
    }
}

fn write_topic_id(home: &Home, id: TopicId) -> Result<Arc<dyn DiskFile>, StorageError> {
    let path = home.dir.join(PARTITION_METADATA);
    let open = home.disk.open(&path, kalda_env::OpenMode::Create);
    let file = open.map_err(StorageError::disk(&path))?;
    let text = write_partition_metadata(id);
    let written =
        file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
    written.map_err(StorageError::disk(&path))?;
    Ok(file)
}

fn epochs(home: &Home, is_there: bool) -> Result<EpochCache, StorageError> {
    if !is_there {
        return Ok(EpochCache::default());
    }
    let entries = read_epochs(&text(home, LEADER_EPOCH_CHECKPOINT)?).map_err(|error| {
        StorageError::corrupt(home.dir.join(LEADER_EPOCH_CHECKPOINT), error.to_string())
    })?;
    Ok(EpochCache::new(entries))
}

fn text(home: &Home, name: &str) -> Result<String, StorageError> {
    let path = home.dir.join(name);
    let bytes = home.disk.read(&path).map_err(StorageError::disk(&path))?;
    String::from_utf8(bytes).map_err(|_| StorageError::corrupt(&path, "it is not text"))
}
