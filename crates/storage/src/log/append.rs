//! Appending: as leader (offsets given here), as follower (offsets kept), and control batches.
//!
//! A batch is written with one call. If that fails the file is cut back to where it was; if that
//! fails too the log is poisoned. Memory changes only after the write succeeded.

use std::sync::Arc;

use bytes::Bytes;
use kalda_env::DiskFile;
use kalda_model::{LeaderEpoch, Offset};
use kalda_records::{
    BatchError, BatchHeader, BatchIter, BatchView, EndTxnMarker, MalformedBatch, TimestampType,
    ValidBatch,
};

use crate::error::{AppendError, StorageError};
use crate::index::AbortedTxn;
use crate::names::{LOG, SNAPSHOT};
use crate::producers::{Admission, Claim, snapshot};
use crate::segment::Segment;
use crate::tail::TailBatch;

use super::Log;

/// What became of an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The offset of the last record.
    pub last_offset: Offset,
    /// The time that the log stamped, with `message.timestamp.type=LogAppendTime`.
    pub log_append_time: Option<i64>,
    /// The log's start.
    pub log_start_offset: Offset,
    /// Whether the batch had been appended before and was not again; the offsets are the old ones.
    pub is_duplicate: bool,
}

impl Log {
    /// Appends a batch of a client, or of this process, at the log's end.
    ///
    /// # Errors
    /// The producer is fenced or out of order, the batch does not fit a segment, or the disk failed.
    pub fn append_as_leader(
        &mut self,
        mut batch: ValidBatch<'_>,
        leader_epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let facts = *batch.facts();
        if facts.producer_id.0 >= 0 && !facts.is_control {
            let claim = Claim {
                producer_id: facts.producer_id,
                epoch: facts.producer_epoch,
                base_sequence: facts.base_sequence,
                last_sequence: facts.last_sequence,
                is_transactional: facts.is_transactional,
            };
            let admission = match self.producers.check(&claim) {
                Err(AppendError::OutOfOrderSequence { .. })
                    if self.recall_batches(facts.producer_id)? =>
                {
                    self.producers.check(&claim)?
                }
                checked => checked?,
            };
            if let Admission::Duplicate(known) = admission {
                return Ok(Appended {
                    base_offset: known.first_offset(),
                    last_offset: known.last_offset,
                    log_append_time: self.append_time(known.timestamp),
                    log_start_offset: Offset(self.log_start),
                    is_duplicate: true,
                });
            }
        }
        if self.config.timestamp_type == TimestampType::LogAppendTime {
            batch.stamp_append_time(now_ms);
        }
        self.append_batch(&mut batch, leader_epoch, now_ms)
    }

    /// Appends a control batch that this process built: a transaction's marker or a record of the
    /// quorum. A marker of a fenced producer epoch or coordinator is refused.
    ///
    /// # Errors
    /// The marker is fenced, the bytes are not one intact batch, or the disk failed.
    pub fn append_control(
        &mut self,
        bytes: Bytes,
        leader_epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let view = BatchView::new(&bytes).map_err(AppendError::Malformed)?;
        if let Some(marker) = marker_of(&view) {
            self.producers.check_marker(view.producer_id(), view.producer_epoch(), marker)?;
        }
        let mut batch = ValidBatch::own(bytes)?;
        self.append_batch(&mut batch, leader_epoch, now_ms)
    }

    /// Appends what a leader sent, offsets and epochs kept; also how a metadata log is replayed.
    /// Answers the new end. Batches may leave gaps (compaction), but never go back.
    ///
    /// # Errors
    /// Bytes that are not whole, intact batches that continue the log (nothing is written then), or
    /// the disk failed.
    pub fn append_as_follower(&mut self, bytes: &[u8], now_ms: i64) -> Result<Offset, AppendError> {
        let mut expected = self.log_end;
        let mut whole = 0;
        for batch in BatchIter::new(bytes) {
            let view = match batch {
                Ok(view) => view,
                // A leader that counts bytes cuts the last batch; the next fetch brings it whole.
                Err(MalformedBatch::Incomplete { .. }) if whole > 0 => break,
                Err(error) => return Err(AppendError::Malformed(error)),
            };
            whole += view.size();
            if !view.is_intact() {
                let (stored, computed) = (view.crc(), view.computed_crc());
                return Err(BatchError::CorruptMessage { stored, computed }.into());
            }
            if view.base_offset().0 < expected || view.last_offset_delta() < 0 {
                return Err(AppendError::UnexpectedOffset {
                    base_offset: view.base_offset(),
                    expected: Offset(expected),
                });
            }
            expected = view.next_offset().0;
        }
        let bytes = &bytes[..whole];
        let mut run = Run::default();
        for batch in BatchIter::new(bytes) {
            let view = batch.map_err(AppendError::Malformed)?;
            let header = view.header();
            if self.must_roll(&header, run.bytes as u64, now_ms)? {
                self.write_run(bytes, &mut run)?;
                self.roll_at(header.base_offset.0, now_ms)?;
            }
            run.bytes += header.size;
            run.batches.push((header, marker_of(&view)));
        }
        self.write_run(bytes, &mut run)?;
        Ok(Offset(self.log_end))
    }

    /// [`Log::append_as_follower`] of what was fetched from the leader of `epoch`: batches from the first one of a
    /// later epoch on are left out, since that leader cannot have written them (KAFKA-18723).
    ///
    /// # Errors
    /// As [`Log::append_as_follower`].
    pub fn append_fetched(
        &mut self,
        bytes: &[u8],
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<Offset, AppendError> {
        let mut len = 0;
        let mut is_later = false;
        for batch in BatchIter::new(bytes) {
            // What is not whole is judged where it is appended.
            let Ok(view) = batch else { break };
            is_later = view.header().leader_epoch > epoch;
            if is_later {
                break;
            }
            len += view.size();
        }
        let bytes = if is_later { &bytes[..len] } else { bytes };
        let log_start = self.log_start;
        self.begin_with_batch_around_start(bytes, now_ms)?;
        self.append_as_follower(bytes, now_ms)?;
        // What of the first batch lies before stays unreadable.
        self.delete_records_before(Offset(log_start), now_ms)?;
        Ok(Offset(self.log_end))
    }

    /// An empty log may begin in the midst of a batch, where its leader's was deleted up to: it begins with
    /// that batch then (`Partition.appendRecordsToFollowerOrFutureReplica`).
    fn begin_with_batch_around_start(
        &mut self,
        bytes: &[u8],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let Some(Ok(first)) = BatchIter::new(bytes).next() else { return Ok(()) };
        let is_around =
            first.base_offset().0 < self.log_end && first.next_offset().0 > self.log_end;
        if self.log_start < self.log_end || !is_around || !first.is_intact() {
            return Ok(());
        }
        self.truncate_fully_and_start_at(first.base_offset(), now_ms)
    }

    /// Starts a new segment if the active one has grown too old for `segment.ms`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn roll_if_needed(&mut self, now_ms: i64) -> Result<bool, StorageError> {
        let is_old = self.active().size > 0 && self.age(now_ms, now_ms)? > self.roll_ms();
        if is_old {
            self.roll_at(self.log_end, now_ms)?;
        }
        Ok(is_old)
    }

    fn append_batch(
        &mut self,
        batch: &mut ValidBatch<'_>,
        leader_epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        if batch.size() as u64 > self.config.segment_bytes {
            let (size, max) = (batch.size(), self.config.segment_bytes);
            return Err(AppendError::LargerThanSegment { size, max });
        }
        let base_offset = Offset(self.log_end);
        batch.stamp(base_offset, leader_epoch);
        let [head, payload] = batch.parts();
        let header = BatchHeader::peek(head).expect("a valid batch has a valid header");
        if self.must_roll(&header, 0, now_ms)? {
            self.roll_at(self.log_end, now_ms)?;
        }
        let marker = header.is_control().then(|| marker_in(&header, payload)).flatten();
        self.write(&[head, payload], &[(header, marker)])?;
        Ok(Appended {
            base_offset,
            last_offset: header.last_offset(),
            log_append_time: self.append_time(header.max_timestamp),
            log_start_offset: Offset(self.log_start),
            is_duplicate: false,
        })
    }

    fn append_time(&self, timestamp: i64) -> Option<i64> {
        (self.config.timestamp_type == TimestampType::LogAppendTime).then_some(timestamp)
    }

    fn write_run(&mut self, bytes: &[u8], run: &mut Run) -> Result<(), StorageError> {
        if run.batches.is_empty() {
            return Ok(());
        }
        let piece = &bytes[run.start..run.start + run.bytes];
        self.write(&[piece], &run.batches)?;
        run.start += run.bytes;
        run.bytes = 0;
        run.batches.clear();
        Ok(())
    }

    /// Writes `parts`, which are `batches`, at the end of the active segment, and takes note.
    fn write(
        &mut self,
        parts: &[&[u8]],
        batches: &[(BatchHeader, Option<EndTxnMarker>)],
    ) -> Result<(), StorageError> {
        if self.is_poisoned {
            return Err(self.poisoned());
        }
        self.closed_at = None;
        self.settle_cut()?;
        let home = &self.home;
        let segment = self.segments.last_mut().expect("a log has a segment");
        segment.prepare(home)?;
        let file = segment.file(home)?;
        let mut position = segment.size;
        if let Err(error) = file.write_all_parts_at(parts, position) {
            self.is_poisoned = file.set_len(position).is_err();
            let path = home.path(segment.base, LOG);
            self.unsynced.on_taken_back();
            return Err(StorageError::Disk { path, source: error });
        }
        for (header, marker) in batches {
            if let Err(error) = self.on_written(header, *marker, position) {
                // The bytes are there but not all of what they mean: only a recovery can tell.
                self.is_poisoned = true;
                return Err(error);
            }
            position += header.size as u64;
        }
        Ok(())
    }

    fn on_written(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
        position: u64,
    ) -> Result<(), StorageError> {
        let interval = self.config.index_interval_bytes;
        self.active_mut().on_appended(header, position, interval);
        self.log_end = header.last_offset().0 + 1;
        self.tail.push(TailBatch {
            base: header.base_offset.0,
            last: header.last_offset().0,
            position,
            size: header.size as u64,
        });
        if self.epochs.assign(header.leader_epoch, header.base_offset) {
            self.unsynced.on_epochs_changed();
        }
        self.note_producer(header, marker)
    }

    /// Brings the producers' state up to a batch that is in the log.
    pub(super) fn note_producer(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
    ) -> Result<(), StorageError> {
        let Some(marker) = marker else {
            self.producers.on_batch(header);
            return Ok(());
        };
        let completed = self.producers.on_marker(header, marker);
        let Some(txn) = completed.filter(|txn| txn.is_aborted) else { return Ok(()) };
        let after = Offset(txn.last_offset.0 + 1);
        let last_stable_offset = self.producers.first_ongoing_offset().unwrap_or(after);
        let index = self.segment_index(txn.last_offset.0);
        let aborted = AbortedTxn {
            producer_id: txn.producer_id,
            first_offset: txn.first_offset,
            last_offset: txn.last_offset,
            last_stable_offset,
        };
        self.segments[index].on_aborted(&self.home, aborted)
    }

    fn must_roll(
        &self,
        header: &BatchHeader,
        waiting: u64,
        now_ms: i64,
    ) -> Result<bool, StorageError> {
        let active = self.active();
        let used = active.size + waiting;
        let fits_index = header.last_offset().0 - active.base <= i64::from(i32::MAX);
        if used == 0 {
            return Ok(!fits_index);
        }
        // Positions in the index are 32-bit too.
        let room = self.config.segment_bytes.min(i32::MAX as u64);
        if !fits_index || used + header.size as u64 > room {
            return Ok(true);
        }
        if active.index_bytes(&self.home)? + 8 > self.config.segment_index_bytes {
            return Ok(true);
        }
        Ok(active.size > 0 && self.age(header.max_timestamp, now_ms)? > self.roll_ms())
    }

    fn roll_ms(&self) -> i64 {
        let segment_ms = match self.config.cleanup_policy.compact {
            // A record of the active segment is out of reach of compaction.
            true => self.config.segment_ms.min(self.config.max_compaction_lag_ms),
            false => self.config.segment_ms,
        };
        segment_ms.saturating_sub(self.config.segment_jitter_ms)
    }

    /// How old the active segment is: by its first record's timestamp against the newest one, or, if
    /// it has none, by the clock.
    fn age(&self, newest: i64, now_ms: i64) -> Result<i64, StorageError> {
        Ok(match self.active().first_timestamp(&self.home)? {
            first if first >= 0 => newest.saturating_sub(first),
            _ => now_ms.saturating_sub(self.active().created_ms),
        })
    }

    /// Seals the active segment and starts one that begins at `base`.
    pub(super) fn roll_at(&mut self, base: i64, now_ms: i64) -> Result<(), StorageError> {
        if self.is_poisoned {
            return Err(self.poisoned());
        }
        self.closed_at = None;
        self.settle_cut()?;
        let home = self.home.clone();
        let is_empty = self.active().size == 0;
        if !is_empty {
            let files = self.active_mut().seal(&home)?;
            self.sync_before_roll(&files)?;
            self.unsynced.on_files(files, self.log_end);
            self.take_snapshot()?;
        }
        let segment = Segment::create(&home, base, now_ms)?;
        if is_empty {
            let old = self.segments.pop().expect("a log has a segment");
            if old.base != base {
                self.doom_segment(&old, now_ms)?;
            }
        }
        self.segments.push(segment);
        self.unsynced.on_epochs_changed();
        self.tail.clear();
        Ok(())
    }

    /// A segment that is there says that all before it is: a file system may make its name durable at any time.
    /// Hardly ever more than one group of writes waits, so it takes no longer than a flush. Who is content
    /// with the page cache has to catch up after a crash anyway.
    fn sync_before_roll(&mut self, files: &[Arc<dyn DiskFile>]) -> Result<(), StorageError> {
        if self.config.is_relaxed || self.unsynced.is_flushed_to(self.log_end) {
            return Ok(());
        }
        let Some(log) = files.first() else { return Ok(()) };
        let synced = log.sync_data();
        self.is_poisoned = synced.is_err();
        synced.map_err(StorageError::disk(&self.home.dir))
    }

    /// Writes the producers' state at the log's end to its snapshot file.
    ///
    /// # Errors
    /// The disk failed.
    pub fn take_snapshot(&mut self) -> Result<(), StorageError> {
        if self.log_end == self.log_start && self.producers.is_empty() {
            return Ok(());
        }
        let path = self.home.path(self.log_end, SNAPSHOT);
        let disk = |error| StorageError::Disk { path: path.clone(), source: error };
        let file = self.home.disk.open(&path, kalda_env::OpenMode::Create).map_err(disk)?;
        let content = snapshot::encode(&self.producers);
        file.set_len(content.len() as u64).map_err(disk)?;
        file.write_all_at(&content, 0).map_err(disk)?;
        self.unsynced.on_files(vec![file], self.log_end);
        Ok(())
    }
}

/// Batches that go to disk in one piece.
#[derive(Default)]
struct Run {
    start: usize,
    bytes: usize,
    batches: Vec<(BatchHeader, Option<EndTxnMarker>)>,
}

/// The transaction marker that a batch is, if it is one.
pub(super) fn marker_of(view: &BatchView<'_>) -> Option<EndTxnMarker> {
    view.is_control().then(|| marker_in(&view.header(), view.payload())).flatten()
}

/// [`marker_of`] for bytes that may not even be a batch.
pub(super) fn marker_of_bytes(bytes: &[u8]) -> Option<EndTxnMarker> {
    marker_of(&BatchView::new(bytes).ok()?)
}

fn marker_in(header: &BatchHeader, payload: &[u8]) -> Option<EndTxnMarker> {
    let record = kalda_records::RecordIter::new(payload, header).next()?.ok()?;
    EndTxnMarker::parse(record.key?, record.value?)
}
