//! What goes by itself: segments too old, too many, or before the log's start.
//!
//! A segment goes in two steps: its files are renamed to `.deleted` at once, and removed after
//! `file.delete.delay.ms` by a later call. Readers that hold a file keep it.

use std::path::{Path, PathBuf};

use kalda_model::Offset;

use crate::error::StorageError;
use crate::names::{DELETED_SUFFIX, INDEX, LOG, SNAPSHOT, TIME_INDEX, TXN_INDEX, with_suffix};
use crate::segment::Segment;

use super::{Log, SegmentInfo};

/// A file that waits to be removed.
#[derive(Debug)]
pub(super) struct Doomed {
    path: PathBuf,
    due_ms: i64,
}

/// Why a segment went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retained {
    /// All its records are older than `retention.ms`.
    Time,
    /// Without it the log still has `retention.bytes`.
    Size,
    /// It lies before the log's start.
    LogStart,
}

impl Log {
    /// Drops the segments that the settings do not keep, never one that reaches above
    /// `high_watermark`. Answers them, with the reason. The log's start moves along.
    ///
    /// # Errors
    /// The disk failed.
    pub fn retain(
        &mut self,
        now_ms: i64,
        high_watermark: Offset,
    ) -> Result<Vec<(SegmentInfo, Retained)>, StorageError> {
        let mut gone = Vec::new();
        while let Some(reason) = self.breach(now_ms, high_watermark.0)? {
            if self.segments.len() == 1 {
                self.roll_at(self.log_end, now_ms)?;
            }
            let segment = self.segments.remove(0);
            self.doom_segment(&segment, now_ms)?;
            self.on_front_moved(self.segments[0].base)?;
            let base_offset = Offset(segment.base);
            gone.push((SegmentInfo { base_offset, size: segment.size }, reason));
        }
        Ok(gone)
    }

    /// Why the oldest segment must go, if it must.
    fn breach(&self, now_ms: i64, high_watermark: i64) -> Result<Option<Retained>, StorageError> {
        let oldest = &self.segments[0];
        let end = self.segments.get(1).map_or(self.log_end, |next| next.base);
        let is_last = self.segments.len() == 1;
        if end > high_watermark || is_last && oldest.size == 0 {
            return Ok(None);
        }
        if !is_last && end <= self.log_start {
            return Ok(Some(Retained::LogStart));
        }
        if !self.config.cleanup_policy.delete {
            return Ok(None);
        }
        let bytes_kept = u64::try_from(self.config.retention_bytes).ok();
        if !is_last && bytes_kept.is_some_and(|kept| self.size_bytes() - oldest.size >= kept) {
            return Ok(Some(Retained::Size));
        }
        if self.config.retention_ms >= 0 {
            let newest = match oldest.newest(&self.home)?.timestamp {
                timestamp if timestamp >= 0 => timestamp,
                _ => oldest.created_ms,
            };
            if now_ms.saturating_sub(newest) > self.config.retention_ms {
                return Ok(Some(Retained::Time));
            }
        }
        Ok(None)
    }

    pub(super) fn drop_before_log_start(&mut self, now_ms: i64) -> Result<(), StorageError> {
        while self.segments.len() > 1 && self.segments[1].base <= self.log_start {
            let segment = self.segments.remove(0);
            self.doom_segment(&segment, now_ms)?;
        }
        self.on_front_moved(self.log_start)
    }

    fn on_front_moved(&mut self, log_start: i64) -> Result<(), StorageError> {
        self.log_start = self.log_start.max(log_start);
        if self.epochs.truncate_from_start(Offset(self.log_start)) {
            self.unsynced.on_epochs_changed();
        }
        self.producers.on_log_start(Offset(self.log_start));
        Ok(())
    }

    /// Renames a segment's files away; they are removed when the delay is over.
    pub(super) fn doom_segment(
        &mut self,
        segment: &Segment,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        for kind in [LOG, INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT] {
            // The snapshot at the base of a segment that was cut off is needed to go on from there.
            if kind == SNAPSHOT && segment.base > self.segments.first().map_or(0, |s| s.base) {
                continue;
            }
            self.doom_file(&self.home.path(segment.base, kind), now_ms)?;
        }
        Ok(())
    }

    /// Renames a file away, if it is there.
    pub(super) fn doom_file(&mut self, path: &Path, now_ms: i64) -> Result<(), StorageError> {
        let due_ms = now_ms.saturating_add(self.config.file_delete_delay_ms);
        let doomed = with_suffix(path, DELETED_SUFFIX);
        match self.home.disk.rename(path, &doomed) {
            Ok(()) => self.doomed.push(Doomed { path: doomed, due_ms }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StorageError::disk(path)(error)),
        }
        Ok(())
    }

    /// When the next file is to be removed.
    #[must_use]
    pub fn next_removal_ms(&self) -> Option<i64> {
        self.doomed.iter().map(|doomed| doomed.due_ms).min()
    }

    /// The files whose delay is over, for [`LogDirectory::remove_doomed`](crate::LogDirectory::remove_doomed).
    /// What is not removed in this life is when the log is opened.
    pub fn take_doomed(&mut self, now_ms: i64) -> Vec<PathBuf> {
        let due = self.doomed.extract_if(.., |doomed| doomed.due_ms <= now_ms);
        due.map(|doomed| doomed.path).collect()
    }
}
