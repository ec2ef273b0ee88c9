//! What of a log is not durable yet, and how it becomes so.
//!
//! [`Log::take_dirty`] lists the work under the lock, [`FlushWork::perform`] does it without,
//! [`Log::on_flushed`] takes note. A truncation in between makes the note void: the next round
//! covers it. One `FlushWork` of a log is performed at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kalda_env::{Disk, DiskFile};
use kalda_model::Offset;

use crate::checkpoint::write_epochs;
use crate::error::StorageError;
use crate::names::LEADER_EPOCH_CHECKPOINT;

use super::Log;

/// The debt of a log to its disk.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    /// Everything below this offset is durable.
    flushed: i64,
    /// Files other than the active log that must be synced, with the log's end when they were
    /// written.
    files: Vec<(Arc<dyn DiskFile>, i64)>,
    /// Grows with every truncation.
    generation: u64,
    /// Grows with every change of leader epochs or directory entries.
    changes: u64,
    /// The last of those changes that is durable.
    changes_saved: u64,
    /// Whether the partition's directory itself is new.
    is_new: bool,
    /// Grows with every cut of a file: the disk may still have what is not there any more.
    cuts: u64,
    /// The last of those cuts that is durable.
    cuts_settled: u64,
}

impl Unsynced {
    pub(super) fn flushed_up_to(flushed: i64) -> Self {
        Self { flushed, ..Self::default() }
    }

    pub(super) fn of_new_directory(flushed: i64) -> Self {
        Self { flushed, is_new: true, changes: 1, ..Self::default() }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn on_epochs_changed(&mut self) {
        self.changes += 1;
    }

    pub(super) fn on_files(&mut self, files: Vec<Arc<dyn DiskFile>>, log_end: i64) {
        self.files.extend(files.into_iter().map(|file| (file, log_end)));
        self.changes += 1;
    }

    pub(super) fn on_truncated(&mut self, log_end: i64) {
        self.generation += 1;
        self.changes += 1;
        self.flushed = self.flushed.min(log_end);
        self.cuts += 1;
    }

    /// A write that failed was taken back.
    pub(super) fn on_taken_back(&mut self) {
        self.cuts += 1;
    }

    /// The log is empty and begins at `start`: there is nothing below it to be made durable.
    pub(super) fn on_started_over(&mut self, start: i64) {
        self.flushed = start;
        self.files.clear();
    }

    pub(super) fn is_flushed_to(&self, log_end: i64) -> bool {
        self.flushed == log_end
    }

    pub(super) fn is_clean(&self, log_end: i64) -> bool {
        self.flushed == log_end && self.changes == self.changes_saved && self.files.is_empty()
    }
}

/// Syncs to do, without the partition's lock.
#[derive(Debug)]
pub struct FlushWork {
    files: Vec<Arc<dyn DiskFile>>,
    replacements: Vec<(PathBuf, String)>,
    dirs: Vec<PathBuf>,
    dir: PathBuf,
    done: Flushed,
    is_gone: Arc<AtomicBool>,
}

/// What is durable once a [`FlushWork`] was performed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flushed {
    /// Everything below it.
    pub upto: Offset,
    generation: u64,
    changes: u64,
    cuts: u64,
}

impl FlushWork {
    /// Up to where the log will be durable.
    #[must_use]
    pub fn upto(&self) -> Offset {
        self.done.upto
    }

    /// The files that it syncs.
    #[must_use]
    pub fn files(&self) -> &[Arc<dyn DiskFile>] {
        &self.files
    }

    /// Does the work.
    ///
    /// # Errors
    /// The first thing that failed. Nothing may be tried again on these files: the log directory
    /// must go offline.
    pub fn perform(&self, disk: &dyn Disk) -> Result<Flushed, StorageError> {
        match self.sync(disk) {
            Err(error) if !self.is_gone.load(Ordering::Acquire) => Err(error),
            // What is being deleted need not be durable.
            _ => Ok(self.done),
        }
    }

    fn sync(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        for file in &self.files {
            file.sync_data().map_err(StorageError::disk(&self.dir))?;
        }
        for (path, content) in &self.replacements {
            disk.replace(path, content.as_bytes()).map_err(StorageError::disk(path))?;
        }
        for dir in &self.dirs {
            disk.sync_dir(dir).map_err(StorageError::disk(dir))?;
        }
        Ok(())
    }
}

/// From this many logs on, one sync of the whole file system is quicker than one for each file.
pub(crate) const BULK_LEN_MIN: usize = 32;

/// Does the work of many logs of one log directory: all of it or, with an error, none that counts.
///
/// # Errors
/// As [`FlushWork::perform`].
pub fn perform_all(works: &[FlushWork], disk: &dyn Disk) -> Result<Vec<Flushed>, StorageError> {
    let (true, Some(first)) = (works.len() >= BULK_LEN_MIN, works.first()) else {
        return works.iter().map(|work| work.perform(disk)).collect();
    };
    let sync = || disk.sync_filesystem(&first.dir).map_err(StorageError::disk(&first.dir));
    let replacements = || works.iter().flat_map(|work| &work.replacements);
    let mut renames = Vec::new();
    for (path, content) in replacements() {
        let written = disk.write_aside(path, content.as_bytes());
        let (aside, _) = written.map_err(StorageError::disk(path))?;
        renames.push((aside, path));
    }
    sync()?;
    // A file takes its place only when its content is durable.
    for (aside, path) in &renames {
        disk.rename(aside, path).map_err(StorageError::disk(*path))?;
    }
    if !renames.is_empty() {
        sync()?;
    }
    Ok(works.iter().map(|work| work.done).collect())
}

impl Log {
    /// What is not durable yet; `None` if everything is, or if the partition is being deleted.
    ///
    /// # Errors
    /// A file of the log could not be opened.
    pub fn take_dirty(&mut self) -> Result<Option<FlushWork>, StorageError> {
        if self.is_poisoned {
            return Err(self.poisoned());
        }
        if self.unsynced.is_clean(self.log_end) || self.is_gone.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut files: Vec<_> =
            self.unsynced.files.iter().map(|(file, _)| Arc::clone(file)).collect();
        files.push(Arc::clone(self.active().file(&self.home)?));
        let mut replacements = Vec::new();
        let mut dirs = Vec::new();
        if self.unsynced.changes != self.unsynced.changes_saved {
            let epochs = write_epochs(self.epochs.entries());
            replacements.push((self.home.dir.join(LEADER_EPOCH_CHECKPOINT), epochs));
            dirs.push(self.home.dir.clone());
        }
        if let (true, Some(parent)) = (self.unsynced.is_new, self.home.dir.parent()) {
            dirs.push(parent.to_owned());
        }
        let done = Flushed {
            upto: Offset(self.log_end),
            generation: self.unsynced.generation,
            changes: self.unsynced.changes,
            cuts: self.unsynced.cuts,
        };
        let dir = self.home.dir.clone();
        let is_gone = Arc::clone(&self.is_gone);
        Ok(Some(FlushWork { files, replacements, dirs, dir, done, is_gone }))
    }

    /// Takes note of work that was performed. Answers the offset below which all is durable now.
    pub fn on_flushed(&mut self, done: Flushed) -> Offset {
        let unsynced = &mut self.unsynced;
        if done.generation == unsynced.generation {
            unsynced.flushed = unsynced.flushed.max(done.upto.0);
            unsynced.files.retain(|(_, end)| *end > done.upto.0);
            unsynced.changes_saved = unsynced.changes_saved.max(done.changes);
            unsynced.is_new = false;
        }
        unsynced.cuts_settled = unsynced.cuts_settled.max(done.cuts);
        assert!(unsynced.flushed <= self.log_end, "what is not there cannot be durable");
        Offset(unsynced.flushed)
    }

    /// Has a cut be durable before anything is written in its place: else a power cut could leave old
    /// bytes among the new ones, and nobody could tell them from rot. Nothing to do, but after a cut
    /// that no flush has followed yet.
    pub(super) fn settle_cut(&mut self) -> Result<(), StorageError> {
        if self.unsynced.cuts == self.unsynced.cuts_settled {
            return Ok(());
        }
        let (file, dir) = (self.active().file(&self.home)?, &self.home.dir);
        let synced = file.sync_data().and_then(|()| self.home.disk.sync_dir(dir));
        self.is_poisoned = synced.is_err();
        self.unsynced.cuts_settled = self.unsynced.cuts;
        synced.map_err(StorageError::disk(dir))
    }

    /// Everything below it is durable.
    #[must_use]
    pub fn flushed_offset(&self) -> Offset {
        Offset(self.unsynced.flushed)
    }

    /// Whether all of it is on disk: records, leader epochs, and what was cut.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.unsynced.is_clean(self.log_end)
    }

    /// Makes everything durable, here and now: for callers without a [`crate::Flusher`].
    ///
    /// # Errors
    /// The disk failed; the log refuses everything from then on.
    pub fn flush(&mut self) -> Result<Offset, StorageError> {
        if let Some(work) = self.take_dirty()? {
            match work.perform(&*self.home.disk) {
                Ok(done) => self.on_flushed(done),
                Err(error) => {
                    self.is_poisoned = true;
                    return Err(error);
                }
            };
        }
        Ok(self.flushed_offset())
    }

    /// A sync of this log's files failed: nothing is written to it any more.
    pub fn on_flush_error(&mut self) {
        self.is_poisoned = true;
    }

    /// Writes down everything, so that opening needs no recovery: the indexes whole, the producers'
    /// state, the leader epochs; and syncs it.
    ///
    /// # Errors
    /// The disk failed: the directory was not closed clean and must not be marked so.
    pub fn close_clean(&mut self) -> Result<(), StorageError> {
        if let Some(work) = self.begin_close()? {
            let done = work.perform(&*self.home.disk).inspect_err(|_| self.is_poisoned = true)?;
            self.end_close(done);
        }
        Ok(())
    }

    /// The first half of [`Log::close_clean`]: everything but the sync, which is left to the caller,
    /// who may have many. `None` if the log is closed already.
    ///
    /// # Errors
    /// The disk failed.
    pub fn begin_close(&mut self) -> Result<Option<FlushWork>, StorageError> {
        if self.is_poisoned {
            return Err(self.poisoned());
        }
        if self.closed_at == Some(self.log_end) && self.unsynced.is_clean(self.log_end) {
            return Ok(None);
        }
        if self.active().size > 0 {
            let home = self.home.clone();
            let files = self.active_mut().seal(&home)?;
            self.unsynced.on_files(files, self.log_end);
        }
        self.take_snapshot()?;
        let work = self.take_dirty()?;
        if work.is_none() {
            self.note_closed();
        }
        Ok(work)
    }

    /// The second half: the work that [`Log::begin_close`] listed was done.
    pub fn end_close(&mut self, done: Flushed) {
        self.on_flushed(done);
        self.note_closed();
    }

    fn note_closed(&mut self) {
        for segment in &mut self.segments {
            segment.close();
        }
        self.closed_at = Some(self.log_end);
    }
}
