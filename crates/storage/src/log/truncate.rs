//! Cutting the log: a follower that diverged, a replica that starts over, DeleteRecords.

use std::collections::VecDeque;
use std::path::PathBuf;

use kalda_model::{Offset, ProducerId};
use kalda_records::NO_SEQUENCE;

use crate::error::StorageError;
use crate::names::{QUARANTINE_SUFFIX, SNAPSHOT, parse};
use crate::producers::{BATCHES_MAX, Producers, RememberedBatch, snapshot};
use crate::segment::Segment;

use super::Log;
use super::flush::Unsynced;

impl Log {
    /// Removes the records from `target` on; a batch that spans it goes whole. Answers the new end,
    /// which is `target` or, for such a batch or a gap, less.
    /// Epochs that begin at the end or after it are forgotten even if no record goes (KAFKA-10706).
    ///
    /// # Errors
    /// The disk failed; the log refuses everything from then on.
    pub fn truncate_to(&mut self, target: Offset, now_ms: i64) -> Result<Offset, StorageError> {
        if self.is_poisoned {
            return Err(self.poisoned());
        }
        if target.0 >= self.log_end {
            if self.epochs.truncate_from_end(target) {
                self.unsynced.on_epochs_changed();
            }
            return Ok(Offset(self.log_end));
        }
        if target.0 <= self.log_start {
            self.truncate_fully_and_start_at(target, now_ms)?;
            return Ok(target);
        }
        let cut = self.cut(target.0, now_ms);
        self.is_poisoned = cut.is_err();
        cut.map(|()| Offset(self.log_end))
    }

    fn cut(&mut self, target: i64, now_ms: i64) -> Result<(), StorageError> {
        self.closed_at = None;
        let keep = self.segment_index(target);
        for segment in self.segments.split_off(keep + 1) {
            self.doom_segment(&segment, now_ms)?;
        }
        self.tail.clear();
        let home = self.home.clone();
        let segment = self.active_mut();
        if let Some(placed) = segment.find(&home, target)? {
            let base = placed.header.base_offset.0;
            segment.truncate(&home, placed.position, base.min(target))?;
        }
        // Where compaction left a gap the log ends before it, as a recovery would find it.
        let log_end = segment.last_offset(&home)?.map_or(segment.base, |last| last + 1);
        if log_end < self.log_start {
            return self.empty(self.log_start, now_ms);
        }
        self.log_end = log_end;
        self.cleaned_upto = self.cleaned_upto.min(log_end);
        self.epochs.truncate_from_end(Offset(log_end));
        self.unsynced.on_truncated(log_end);
        self.drop_snapshots_after(log_end)?;
        self.rebuild_producers(log_end)
    }

    /// Cuts the log where the batch of `offset` begins, which is damaged, and keeps that batch in a file of its own.
    /// Answers which; `None` if there is no such batch.
    ///
    /// # Errors
    /// The disk failed; the log refuses everything from then on.
    pub fn set_aside_from(
        &mut self,
        offset: Offset,
        now_ms: i64,
    ) -> Result<Option<PathBuf>, StorageError> {
        if self.is_poisoned {
            return Err(self.poisoned());
        }
        let index = self.segment_index(offset.0);
        let placed = self.segments[index].find(&self.home, offset.0)?;
        let kept = match placed {
            Some(placed) => {
                let end = placed.position + placed.header.size as u64;
                Some(self.copy_aside(index, placed.position..end, offset.0, QUARANTINE_SUFFIX)?)
            }
            None => None,
        };
        self.truncate_to(offset, now_ms)?;
        Ok(kept)
    }

    /// Removes everything; the next record gets the offset `start`.
    ///
    /// # Errors
    /// The disk failed; the log refuses everything from then on.
    pub fn truncate_fully_and_start_at(
        &mut self,
        start: Offset,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        if self.is_poisoned {
            return Err(self.poisoned());
        }
        let emptied = self.empty(start.0, now_ms);
        self.is_poisoned = emptied.is_err();
        emptied
    }

    fn empty(&mut self, start: i64, now_ms: i64) -> Result<(), StorageError> {
        self.closed_at = None;
        for segment in std::mem::take(&mut self.segments) {
            self.doom_segment(&segment, now_ms)?;
        }
        self.drop_snapshots_after(-1)?;
        self.segments.push(Segment::create(&self.home, start, now_ms)?);
        self.log_start = start;
        self.log_end = start;
        self.cleaned_upto = 0;
        self.tail.clear();
        self.epochs.clear();
        self.producers = Producers::default();
        let mut unsynced = std::mem::replace(&mut self.unsynced, Unsynced::flushed_up_to(0));
        unsynced.on_truncated(start);
        unsynced.on_started_over(start);
        self.unsynced = unsynced;
        Ok(())
    }

    /// Moves the log's start to `offset` (DeleteRecords, or a leader's start): what lies before is
    /// not readable any more, and whole segments of it go. The caller checks the high watermark.
    /// Answers the start.
    ///
    /// # Errors
    /// The disk failed.
    pub fn delete_records_before(
        &mut self,
        offset: Offset,
        now_ms: i64,
    ) -> Result<Offset, StorageError> {
        if offset.0 > self.log_start {
            self.log_start = offset.0.min(self.log_end);
            self.drop_before_log_start(now_ms)?;
        }
        Ok(Offset(self.log_start))
    }

    /// Brings the producers' state to `upto`: the latest snapshot at or before it, and what was
    /// appended since.
    pub(super) fn rebuild_producers(&mut self, upto: i64) -> Result<(), StorageError> {
        self.producers = Producers::default();
        let mut from = self.log_start;
        for offset in self.snapshots()?.into_iter().rev().filter(|offset| *offset <= upto) {
            let path = self.home.path(offset, SNAPSHOT);
            let bytes = self.home.disk.read(&path).map_err(StorageError::disk(&path))?;
            match snapshot::decode(&bytes) {
                Ok(producers) => {
                    self.producers = producers;
                    self.producers.on_snapshot_loaded();
                    from = offset;
                    break;
                }
                Err(error) => {
                    tracing::warn!("removing {}: {error}", path.display());
                    self.home.disk.remove_file(&path).map_err(StorageError::disk(&path))?;
                }
            }
        }
        self.replay_producers(from, upto)
    }

    /// Remembers up to [`BATCHES_MAX`] batches of a producer of which a snapshot had only the last:
    /// a client that waited for several answers when the broker ended sends them all again, in
    /// order. Only the newest two segments are looked at, header by header: what is in flight is at
    /// the end. Answers whether there was something to look for.
    pub(super) fn recall_batches(&mut self, id: ProducerId) -> Result<bool, StorageError> {
        let home = self.home.clone();
        let Some(entry) = self.producers.take_half_known(id) else { return Ok(false) };
        let known = entry.batches.front().map_or(i64::MAX, |batch| batch.first_offset().0);
        let mut found = VecDeque::new();
        let newest = self.segments.len().saturating_sub(2);
        for segment in &self.segments[newest..] {
            let mut hops = segment.hops(&home, 0)?;
            while let Some(placed) = hops.next()? {
                let header = placed.header;
                if header.base_offset.0 >= known {
                    break;
                }
                let is_its = header.producer_id == id && header.producer_epoch == entry.epoch;
                if is_its && !header.is_control() && header.base_sequence != NO_SEQUENCE {
                    found.push_back(RememberedBatch::of(&header));
                }
            }
        }
        while entry.batches.len() < BATCHES_MAX
            && let Some(batch) = found.pop_back()
        {
            entry.batches.push_front(batch);
        }
        Ok(true)
    }

    /// Takes note of the batches from `from` up to `upto`, header by header.
    fn replay_producers(&mut self, from: i64, upto: i64) -> Result<(), StorageError> {
        if from >= upto {
            return Ok(());
        }
        let home = self.home.clone();
        for index in self.segment_index(from)..self.segments.len() {
            let segment = &self.segments[index];
            if segment.base >= upto {
                // It may hold anything: a recovery has not come to it yet.
                return Ok(());
            }
            let Some(first) = segment.find(&home, from)? else { continue };
            let mut hops = segment.hops(&home, first.position)?;
            while let Some(placed) = hops.next()? {
                if placed.header.base_offset.0 >= upto {
                    return Ok(());
                }
                let header = placed.header;
                if header.producer_id.0 < 0 {
                    continue;
                }
                if !header.is_control() {
                    self.producers.on_batch(&header);
                    continue;
                }
                let mut bytes = vec![0; header.size];
                let path = home.path(self.segments[index].base, crate::names::LOG);
                let file = self.segments[index].file(&home)?;
                file.read_exact_at(&mut bytes, placed.position)
                    .map_err(StorageError::disk(&path))?;
                if let Some(marker) = super::append::marker_of_bytes(&bytes) {
                    // The transaction index has it already.
                    self.producers.on_marker(&header, marker);
                }
            }
        }
        Ok(())
    }

    /// The offsets of the snapshots on disk, growing.
    pub(super) fn snapshots(&self) -> Result<Vec<i64>, StorageError> {
        let dir = &self.home.dir;
        let entries = self.home.disk.list(dir).map_err(StorageError::disk(dir))?;
        let mut offsets: Vec<i64> =
            entries.iter().filter_map(|entry| parse(&entry.name, SNAPSHOT)).collect();
        offsets.sort_unstable();
        Ok(offsets)
    }

    pub(super) fn drop_snapshots_after(&mut self, offset: i64) -> Result<(), StorageError> {
        for stale in self.snapshots()?.into_iter().filter(|other| *other > offset) {
            let path = self.home.path(stale, SNAPSHOT);
            self.home.disk.remove_file(&path).map_err(StorageError::disk(&path))?;
        }
        Ok(())
    }
}
