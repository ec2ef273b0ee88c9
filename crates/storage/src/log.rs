//! One partition's log on one disk.
//!
//! Single writer: the owner holds the partition's short lock around every call. A [`LogSlice`] and a
//! [`FlushWork`] are used after the lock is released; both hold their files open, so that retention
//! and deletion never pull them away. The log reads no clock: `now_ms` comes in.
//!
//! Files of this room by concern: `open`, `recovery` and `torn` (coming up), `append`, `read`, `lookup` (by
//! time), `transactions`, `truncate`, `retention`, `compact`, `flush`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kalda_env::Disk;
use kalda_model::{LeaderEpoch, Offset, TopicId};

use crate::config::LogConfig;
use crate::epochs::EpochCache;
use crate::error::StorageError;
use crate::names::Home;
use crate::producers::Producers;
use crate::segment::Segment;
use crate::tail::Tail;

mod append;
mod compact;
mod flush;
mod lookup;
mod open;
mod read;
mod recovery;
mod retention;
mod torn;
mod transactions;
mod truncate;

pub use append::Appended;
pub use compact::{CompactError, Compaction, LogLife, Pace, Rewriting, Rewritten};
pub(crate) use flush::BULK_LEN_MIN;
pub use flush::{FlushWork, Flushed, perform_all};
pub use lookup::FoundTimestamp;
pub use open::OpenOptions;
pub use read::{LogSlice, ReadOptions};
pub use recovery::{Quarantined, RecoveryReport, TornTail};
pub use retention::Retained;

use flush::Unsynced;
use retention::Doomed;

/// The log of one partition.
#[derive(Debug)]
pub struct Log {
    home: Home,
    config: Arc<LogConfig>,
    topic_id: Option<TopicId>,
    /// By base offset; never empty, the last one is appended to.
    segments: Vec<Segment>,
    /// The first offset that may be read.
    log_start: i64,
    /// The offset that the next record gets.
    log_end: i64,
    /// Everything below was compacted.
    cleaned_upto: i64,
    epochs: EpochCache,
    producers: Producers,
    tail: Tail,
    unsynced: Unsynced,
    /// Files renamed away, waiting for their readers.
    doomed: Vec<Doomed>,
    /// A failed write could not be taken back.
    is_poisoned: bool,
    /// The end with which it was closed clean, while nothing has changed since.
    closed_at: Option<i64>,
    /// The partition is being deleted: its directory may vanish under a flush.
    is_gone: Arc<AtomicBool>,
}

/// One segment, for those who list them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// Its first offset.
    pub base_offset: Offset,
    /// Bytes of its log file.
    pub size: u64,
}

impl Log {
    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.home.dir
    }

    /// The topic's id, if `partition.metadata` had one.
    #[must_use]
    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Gives it other settings, from now on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// The first offset that may be read.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        Offset(self.log_start)
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        Offset(self.log_end)
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Bytes of the records from `offset` on, by whole segments: how far a replica lags.
    #[must_use]
    pub fn size_from(&self, offset: Offset) -> u64 {
        let first = self.segment_index(offset.0);
        self.segments[first..].iter().map(|segment| segment.size).sum()
    }

    /// Its segments, oldest first.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = SegmentInfo> {
        self.segments
            .iter()
            .map(|segment| SegmentInfo { base_offset: Offset(segment.base), size: segment.size })
    }

    /// The base offset of the segment that is appended to.
    #[must_use]
    pub fn active_base_offset(&self) -> Offset {
        Offset(self.active().base)
    }

    /// The leader epochs and where they began.
    #[must_use]
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// The newest leader epoch of a record, or the one that was assigned since.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// The last epoch not above `epoch`, and its end offset (`OffsetsForLeaderEpoch`). `None` when
    /// the log cannot tell.
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(epoch, Offset(self.log_end))
    }

    /// Notes that `epoch` begins at the log's end: this replica becomes its leader. Durable with
    /// the next flush.
    pub fn assign_epoch_start(&mut self, epoch: LeaderEpoch) {
        if self.epochs.assign(epoch, Offset(self.log_end)) {
            self.unsynced.on_epochs_changed();
        }
    }

    /// Closes the files of segments that are not appended to, and of the active one if nothing of it
    /// waits to be written; they are opened again on use.
    pub fn close_idle_files(&mut self) {
        let is_clean = self.unsynced.is_clean(self.log_end);
        let sealed = self.segments.len() - 1;
        for (index, segment) in self.segments.iter_mut().enumerate() {
            if index < sealed || is_clean {
                segment.close();
            }
        }
    }

    /// The partition is about to be deleted. Call it before its directory is renamed or removed:
    /// a flush that is under way then does not take the missing directory for a failing disk.
    pub fn on_deleted(&mut self) {
        self.is_gone.store(true, Ordering::Release);
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has a segment")
    }

    /// The segment that holds `offset`, or would.
    fn segment_index(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
    }

    fn poisoned(&self) -> StorageError {
        StorageError::Poisoned { path: self.home.dir.clone() }
    }

    fn home(disk: &Arc<dyn Disk>, dir: &Path) -> Home {
        Home { disk: Arc::clone(disk), dir: PathBuf::from(dir) }
    }
}

#[cfg(test)]
mod tests;
