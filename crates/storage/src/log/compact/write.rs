//! The files of a segment that is being made, under names of their own (`.cleaned`): nobody else
//! knows them, and a crash leaves them to be removed.

use std::sync::Arc;

use kalda_env::{DiskFile, OpenMode};
use kalda_records::{BatchHeader, NO_TIMESTAMP};

use crate::error::StorageError;
use crate::index::{AbortedTxn, OffsetEntry, TimeEntry};
use crate::names::{CLEANED_SUFFIX, Home, INDEX, LOG, TIME_INDEX, TXN_INDEX, with_suffix};

const BUFFER_BYTES: usize = 1 << 20;

/// A segment in the making.
#[derive(Debug)]
pub(super) struct CleanedSegment<'a> {
    home: &'a Home,
    base: i64,
    interval: u64,
    file: Arc<dyn DiskFile>,
    /// Batches that are not written yet.
    buffer: Vec<u8>,
    /// Bytes that are.
    written: u64,
    offsets: Vec<u8>,
    times: Vec<u8>,
    txns: Vec<u8>,
    unindexed: u64,
    /// The largest timestamp so far, the last offset of its batch, and the last one indexed.
    newest: (i64, i64),
    indexed: i64,
}

impl<'a> CleanedSegment<'a> {
    pub(super) fn create(home: &'a Home, base: i64, interval: u64) -> Result<Self, StorageError> {
        let path = with_suffix(&home.path(base, LOG), CLEANED_SUFFIX);
        let file = home.disk.open(&path, OpenMode::Create).map_err(StorageError::disk(&path))?;
        file.set_len(0).map_err(StorageError::disk(&path))?;
        Ok(Self {
            home,
            base,
            interval,
            file,
            buffer: Vec::new(),
            written: 0,
            offsets: Vec::new(),
            times: Vec::new(),
            txns: Vec::new(),
            unindexed: 0,
            newest: (NO_TIMESTAMP, base),
            indexed: NO_TIMESTAMP,
        })
    }

    /// Bytes of its log file.
    pub(super) fn size(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Adds a batch, indexed as [`crate::segment::Segment::on_appended`] does it.
    pub(super) fn push(&mut self, bytes: &[u8], header: &BatchHeader) -> Result<(), StorageError> {
        let last_offset = header.last_offset().0;
        if header.count > 0 && header.max_timestamp > self.newest.0 {
            self.newest = (header.max_timestamp, last_offset);
        }
        // Rewritten batches may outgrow what a position can say; then readers hop a little further.
        if self.unindexed > self.interval
            && let Ok(position) = i32::try_from(self.size())
        {
            let relative_offset = (last_offset - self.base) as i32;
            self.offsets.extend(OffsetEntry { relative_offset, position }.encode());
            self.index_time();
            self.unindexed = 0;
        }
        self.unindexed += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.write_out() } else { Ok(()) }
    }

    /// Notes an aborted transaction, in the order of the markers.
    pub(super) fn push_aborted(&mut self, txn: AbortedTxn) {
        self.txns.extend(txn.encode());
    }

    /// Writes everything and makes it durable. Answers the kinds of its files, the log last.
    pub(super) fn finish(mut self) -> Result<Vec<&'static str>, StorageError> {
        self.write_out()?;
        self.index_time();
        let mut kinds = Vec::new();
        let indexes = [(INDEX, &self.offsets), (TIME_INDEX, &self.times), (TXN_INDEX, &self.txns)];
        for (kind, content) in indexes {
            if kind == TXN_INDEX && content.is_empty() {
                continue;
            }
            let path = with_suffix(&self.home.path(self.base, kind), CLEANED_SUFFIX);
            let disk = || StorageError::disk(&path);
            let file = self.home.disk.open(&path, OpenMode::Create).map_err(disk())?;
            file.set_len(0).map_err(disk())?;
            file.write_all_at(content, 0).map_err(disk())?;
            file.sync_data().map_err(disk())?;
            kinds.push(kind);
        }
        let path = with_suffix(&self.home.path(self.base, LOG), CLEANED_SUFFIX);
        self.file.sync_data().map_err(StorageError::disk(&path))?;
        let dir = &self.home.dir;
        self.home.disk.sync_dir(dir).map_err(StorageError::disk(dir))?;
        kinds.push(LOG);
        Ok(kinds)
    }

    /// Gives it up.
    pub(super) fn discard(self) {
        Self::remove(self.home, self.base);
    }

    /// Removes the files of one that was given up. What cannot be removed now goes when the log is
    /// opened again.
    pub(super) fn remove(home: &Home, base: i64) {
        for kind in [INDEX, TIME_INDEX, TXN_INDEX, LOG] {
            let path = with_suffix(&home.path(base, kind), CLEANED_SUFFIX);
            let _gone_at_the_next_open = home.disk.remove_file(&path);
        }
    }

    fn write_out(&mut self) -> Result<(), StorageError> {
        let path = with_suffix(&self.home.path(self.base, LOG), CLEANED_SUFFIX);
        self.file.write_all_at(&self.buffer, self.written).map_err(StorageError::disk(path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn index_time(&mut self) {
        let (timestamp, offset) = self.newest;
        if timestamp > self.indexed {
            let relative_offset = (offset - self.base) as i32;
            self.times.extend(TimeEntry { timestamp, relative_offset }.encode());
            self.indexed = timestamp;
        }
    }
}
