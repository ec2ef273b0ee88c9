//! What is to be compacted, and whether it is worth it. Under the lock, and quick.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kalda_model::{Offset, ProducerEpoch};

use crate::config::{LogConfig, RATIO_ONE};
use crate::error::StorageError;
use crate::index::AbortedTxn;
use crate::names::Home;

use super::super::Log;

/// One segment as it was when the plan was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Source {
    pub(super) base: i64,
    pub(super) size: u64,
    /// Where the next segment begins.
    pub(super) end: i64,
}

/// What keeps a producer's state alive in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LastOfProducer {
    /// The last offset of its last batch with a sequence; `None` if only its markers are known.
    pub(super) data: Option<i64>,
    pub(super) epoch: ProducerEpoch,
}

/// A compaction that is worth it, and all that it needs to know of the log.
#[derive(Debug)]
pub struct Compaction {
    pub(super) home: Home,
    pub(super) config: Arc<LogConfig>,
    pub(super) life: LogLife,
    /// The first dirty offset: what lies below was compacted before.
    pub(super) start: i64,
    /// Nothing from here on is touched.
    pub(super) end: i64,
    /// The segments from the log's first up to `end`.
    pub(super) sources: Vec<Source>,
    /// The aborted transactions that reach into them, by first offset.
    pub(super) aborted: Vec<AbortedTxn>,
    pub(super) producers: BTreeMap<i64, LastOfProducer>,
    pub(super) now_ms: i64,
}

/// By what it is known that a log is still the one that was planned for.
#[derive(Clone, Debug)]
pub struct LogLife {
    /// One of a kind for each [`Log`].
    is_gone: Arc<AtomicBool>,
    generation: u64,
}

impl Compaction {
    /// Bytes of the segments that it reads.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sources.iter().map(|source| source.size).sum()
    }

    /// What to ask [`Log::is_current`] with, when it failed.
    #[must_use]
    pub fn life(&self) -> LogLife {
        self.life.clone()
    }

    /// The dirty range: from where no key was compacted yet, up to where it may be.
    #[must_use]
    pub fn range(&self) -> (Offset, Offset) {
        (Offset(self.start), Offset(self.end))
    }
}

impl Log {
    /// Everything below was compacted (`cleaner-offset-checkpoint`).
    #[must_use]
    pub fn cleaner_offset(&self) -> Offset {
        Offset(self.cleaned_upto)
    }

    /// Tells a log that was opened what the checkpoint says.
    pub fn set_cleaner_offset(&mut self, offset: Offset) {
        self.cleaned_upto = offset.0.min(self.log_end);
    }

    /// Decides whether this log is to be compacted now: enough of it is dirty
    /// (`min.cleanable.dirty.ratio`), or a record has waited for `max.compaction.lag.ms`. Rolls the
    /// active segment if its age demands it.
    ///
    /// # Errors
    /// The disk failed.
    pub fn plan_compaction(
        &mut self,
        high_watermark: Offset,
        now_ms: i64,
    ) -> Result<Option<Compaction>, StorageError> {
        if !self.config.cleanup_policy.compact || self.is_poisoned {
            return Ok(None);
        }
        self.roll_if_needed(now_ms)?;
        let start = self.cleaned_upto.max(self.log_start);
        let first_dirty = self.segment_index(start);
        let after = self.cleanable_segments(first_dirty, high_watermark, now_ms)?;
        if after <= first_dirty || self.segments[after].base <= start {
            return Ok(None);
        }
        let bytes = |from: usize, to: usize| -> u64 {
            self.segments[from..to].iter().map(|segment| segment.size).sum()
        };
        let (clean, dirty) = (bytes(0, first_dirty), bytes(first_dirty, after));
        let is_dirty = u128::from(dirty) * u128::from(RATIO_ONE)
            > u128::from(clean + dirty) * u128::from(self.config.min_cleanable_dirty_ratio);
        if dirty == 0 || !is_dirty && !self.is_overdue(first_dirty, after, now_ms)? {
            return Ok(None);
        }
        self.compaction_of(start, after, now_ms).map(Some)
    }

    /// Whether the log is still the one that was planned for: not cut, not deleted, not opened anew.
    #[must_use]
    pub fn is_current(&self, life: &LogLife) -> bool {
        Arc::ptr_eq(&self.is_gone, &life.is_gone)
            && !self.is_gone.load(Ordering::Acquire)
            && !self.is_poisoned
            && self.unsynced.generation() == life.generation
    }

    /// How many segments from the front on may be compacted: none that is appended to, reaches above
    /// the high watermark or the last stable offset, or has a record younger than
    /// `min.compaction.lag.ms`.
    fn cleanable_segments(
        &self,
        first_dirty: usize,
        high_watermark: Offset,
        now_ms: i64,
    ) -> Result<usize, StorageError> {
        let stable = self.last_stable_offset(high_watermark).0;
        // A segment of which a part may not be looked at is left whole (KAFKA-13194).
        let after = self.segments.partition_point(|segment| segment.base <= stable);
        let after = after.saturating_sub(1);
        let lag_ms = self.config.min_compaction_lag_ms;
        if lag_ms <= 0 {
            return Ok(after);
        }
        for index in first_dirty..after {
            let segment = &self.segments[index];
            let newest = match segment.newest(&self.home)?.timestamp {
                timestamp if timestamp >= 0 => timestamp,
                _ => segment.created_ms,
            };
            if newest > now_ms.saturating_sub(lag_ms) {
                return Ok(index);
            }
        }
        Ok(after)
    }

    fn is_overdue(&self, from: usize, to: usize, now_ms: i64) -> Result<bool, StorageError> {
        let due = now_ms.saturating_sub(self.config.max_compaction_lag_ms);
        if due <= 0 {
            return Ok(false);
        }
        for segment in &self.segments[from..to] {
            let first = segment.first_timestamp(&self.home)?;
            if first > 0 && first < due {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn compaction_of(
        &self,
        start: i64,
        after: usize,
        now_ms: i64,
    ) -> Result<Compaction, StorageError> {
        let ends = self.segments[1..].iter().map(|next| next.base);
        let sources: Vec<Source> = self.segments[..after]
            .iter()
            .zip(ends)
            .map(|(segment, end)| Source { base: segment.base, size: segment.size, end })
            .collect();
        let end = self.segments[after].base;
        let first = self.segments[0].base;
        let producers = self.producers.iter().map(|(id, entry)| {
            let data = entry.batches.back().map(|batch| batch.last_offset.0);
            (id.0, LastOfProducer { data, epoch: entry.epoch })
        });
        Ok(Compaction {
            home: self.home.clone(),
            config: Arc::clone(&self.config),
            life: LogLife {
                is_gone: Arc::clone(&self.is_gone),
                generation: self.unsynced.generation(),
            },
            start,
            end,
            sources,
            aborted: self.aborted_transactions(Offset(first), Offset(end))?,
            producers: producers.collect(),
            now_ms,
        })
    }
}
