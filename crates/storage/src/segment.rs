//! One segment: a log file and its three indexes.
//!
//! Owned by [`crate::Log`], which decides when to roll, cut or drop it. Files are opened on first
//! use. Positions and offsets are plain numbers here; the log speaks in nouns.

use std::sync::{Arc, OnceLock};

use kalda_env::{DiskFile, OpenMode};
use kalda_records::{BatchHeader, NO_TIMESTAMP};

use crate::entry_file::EntryFile;
use crate::error::StorageError;
use crate::hop::Hops;
use crate::index::{AbortedTxn, OffsetEntry, TimeEntry};
use crate::names::{Home, INDEX, LOG, TIME_INDEX, TXN_INDEX};

/// The newest record of a segment, by timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Newest {
    /// Its timestamp, or [`NO_TIMESTAMP`].
    pub(crate) timestamp: i64,
    /// The last offset of its batch.
    pub(crate) offset: i64,
    /// The timestamp of the time index's last entry.
    pub(crate) indexed: i64,
}

impl Newest {
    const NONE: Self = Self { timestamp: NO_TIMESTAMP, offset: 0, indexed: NO_TIMESTAMP };
}

/// A batch's place in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

#[derive(Debug)]
pub(crate) struct Segment {
    /// The first offset that it may hold; its name.
    pub(crate) base: i64,
    /// Bytes of the log file that count.
    pub(crate) size: u64,
    /// When it was made or opened: its age, if no record has a timestamp.
    pub(crate) created_ms: i64,
    file: OnceLock<Arc<dyn DiskFile>>,
    offsets: EntryFile<{ OffsetEntry::BYTES }>,
    times: EntryFile<{ TimeEntry::BYTES }>,
    txns: EntryFile<{ AbortedTxn::BYTES }>,
    newest: OnceLock<Newest>,
    first_timestamp: OnceLock<i64>,
    /// Bytes appended since the last index entry.
    unindexed: u64,
    /// The last offset that was appended since it was opened; only says where to look first.
    appended: i64,
}

impl Segment {
    /// A segment that is on disk already; nothing is opened.
    pub(crate) fn existing(base: i64, size: u64, now_ms: i64) -> Self {
        Self {
            base,
            size,
            created_ms: now_ms,
            file: OnceLock::new(),
            offsets: EntryFile::default(),
            times: EntryFile::default(),
            txns: EntryFile::default(),
            newest: OnceLock::new(),
            first_timestamp: OnceLock::new(),
            unindexed: 0,
            appended: base,
        }
    }

    /// A new, empty segment. What an earlier life left under its name is overwritten.
    pub(crate) fn create(home: &Home, base: i64, now_ms: i64) -> Result<Self, StorageError> {
        let path = home.path(base, LOG);
        let file = home.disk.open(&path, OpenMode::Create).map_err(StorageError::disk(&path))?;
        file.set_len(0).map_err(StorageError::disk(&path))?;
        let mut segment = Self::existing(base, 0, now_ms);
        segment.offsets = EntryFile::fresh();
        segment.times = EntryFile::fresh();
        segment.txns = EntryFile::fresh();
        segment.file = OnceLock::from(file);
        segment.newest = OnceLock::from(Newest::NONE);
        Ok(segment)
    }

    /// The log file.
    pub(crate) fn file(&self, home: &Home) -> Result<&Arc<dyn DiskFile>, StorageError> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let at = home.at(self.base, LOG);
        let file =
            home.disk.open(&at.path(), OpenMode::ReadWrite).map_err(|error| at.failed(error))?;
        Ok(self.file.get_or_init(|| file))
    }

    /// Closes what is open and forgets what can be read again. For segments that are not appended
    /// to.
    pub(crate) fn close(&mut self) {
        self.file = OnceLock::new();
        self.offsets.close();
        self.times.close();
        self.txns.close();
    }

    /// The headers of its batches from `position` on.
    pub(crate) fn hops<'a>(&self, home: &'a Home, position: u64) -> Result<Hops<'a>, StorageError> {
        let file = Arc::clone(self.file(home)?);
        Ok(Hops::new(home, self.base, file, position, self.size))
    }

    /// The first batch that ends at `offset` or after it.
    pub(crate) fn find(&self, home: &Home, offset: i64) -> Result<Option<Placed>, StorageError> {
        let mut hops = self.hops(home, self.position_before(home, offset)?)?;
        while let Some(placed) = hops.next()? {
            if placed.header.last_offset().0 >= offset {
                return Ok(Some(placed));
            }
        }
        Ok(None)
    }

    /// The last offset in it, found from the last index entry on.
    pub(crate) fn last_offset(&self, home: &Home) -> Result<Option<i64>, StorageError> {
        let mut hops = self.hops(home, self.position_before(home, i64::MAX)?)?;
        let mut last = None;
        while let Some(placed) = hops.next()? {
            last = Some(placed.header.last_offset().0);
        }
        Ok(last)
    }

    /// A batch's position from which the batch that holds `offset` can be reached by hopping.
    fn position_before(&self, home: &Home, offset: i64) -> Result<u64, StorageError> {
        let at = home.at(self.base, INDEX);
        let relative = offset - self.base;
        let newest = self.newest(home)?.offset.max(self.appended) - self.base;
        let guess = relative as f64 / newest.max(1) as f64;
        let (_, entry) = self.offsets.last_before(at, guess, |entry| {
            i64::from(OffsetEntry::decode(entry).relative_offset) <= relative
        })?;
        Ok(entry.map_or(0, |entry| OffsetEntry::decode(&entry).position as u64))
    }

    /// The end of the last whole batch that ends at or before `limit`, hopping from `start` on. Headers that
    /// are not in memory are not waited for where the index knows a boundary not far before the limit.
    pub(crate) fn boundary_before(
        &self,
        home: &Home,
        start: u64,
        limit: u64,
    ) -> Result<u64, StorageError> {
        let at = home.at(self.base, INDEX);
        let guess = limit as f64 / self.size.max(1) as f64;
        let (_, entry) = self
            .offsets
            .last_before(at, guess, |entry| OffsetEntry::decode(entry).position as u64 <= limit)?;
        let indexed = entry.map_or(0, |entry| OffsetEntry::decode(&entry).position as u64);
        let mut end = start.max(indexed);
        if end > start && !self.file(home)?.is_cached(end) {
            return Ok(end);
        }
        let mut hops = self.hops(home, end)?;
        while end < limit {
            match hops.next()? {
                Some(placed) if placed.position + placed.header.size as u64 <= limit => {
                    end = placed.position + placed.header.size as u64;
                }
                _ => break,
            }
        }
        Ok(end)
    }

    /// The newest record, read from the time index the first time.
    pub(crate) fn newest(&self, home: &Home) -> Result<Newest, StorageError> {
        if let Some(newest) = self.newest.get() {
            return Ok(*newest);
        }
        let newest = self.last_time_entry(home)?.map_or(Newest::NONE, |entry| Newest {
            timestamp: entry.timestamp,
            offset: self.base + i64::from(entry.relative_offset),
            indexed: entry.timestamp,
        });
        Ok(*self.newest.get_or_init(|| newest))
    }

    fn last_time_entry(&self, home: &Home) -> Result<Option<TimeEntry>, StorageError> {
        let at = home.at(self.base, TIME_INDEX);
        match self.times.len(at)?.checked_sub(1) {
            None => Ok(None),
            Some(last) => self.times.entry(at, last).map(|e| Some(TimeEntry::decode(&e))),
        }
    }

    /// The position from which to look for the first record at or after `timestamp`.
    pub(crate) fn position_before_timestamp(
        &self,
        home: &Home,
        timestamp: i64,
    ) -> Result<u64, StorageError> {
        let at = home.at(self.base, TIME_INDEX);
        let (_, entry) = self
            .times
            .last_before(at, 0.5, |entry| TimeEntry::decode(entry).timestamp < timestamp)?;
        let Some(entry) = entry.map(|entry| TimeEntry::decode(&entry)) else { return Ok(0) };
        self.position_before(home, self.base + i64::from(entry.relative_offset))
    }

    /// The timestamp by which the segment's age is told: the first batch's newest.
    pub(crate) fn first_timestamp(&self, home: &Home) -> Result<i64, StorageError> {
        if let Some(timestamp) = self.first_timestamp.get() {
            return Ok(*timestamp);
        }
        let first = self.hops(home, 0)?.next()?;
        let Some(first) = first else { return Ok(NO_TIMESTAMP) };
        Ok(*self.first_timestamp.get_or_init(|| first.header.max_timestamp))
    }

    /// Does beforehand what could fail in [`Segment::on_appended`].
    pub(crate) fn prepare(&mut self, home: &Home) -> Result<(), StorageError> {
        self.newest(home)?;
        self.offsets.make_room(home.at(self.base, INDEX))?;
        self.times.make_room(home.at(self.base, TIME_INDEX))
    }

    /// How many bytes its offset index has.
    pub(crate) fn index_bytes(&self, home: &Home) -> Result<u64, StorageError> {
        let entries = self.offsets.len(home.at(self.base, INDEX))?;
        Ok((entries * OffsetEntry::BYTES) as u64)
    }

    /// Takes note of a batch that was written at `position`. [`Segment::prepare`] came before.
    pub(crate) fn on_appended(&mut self, header: &BatchHeader, position: u64, interval: u64) {
        let mut newest = self.newest.get().copied().unwrap_or(Newest::NONE);
        // A header that compaction left has the time of a record that is gone.
        if header.count > 0 && header.max_timestamp > newest.timestamp {
            newest.timestamp = header.max_timestamp;
            newest.offset = header.last_offset().0;
        }
        if self.unindexed > interval {
            let relative_offset = (header.last_offset().0 - self.base) as i32;
            let position = position as i32;
            self.offsets.push(OffsetEntry { relative_offset, position }.encode());
            self.index_time(&mut newest);
            self.unindexed = 0;
        }
        self.newest = OnceLock::from(newest);
        if position == 0 {
            self.first_timestamp = OnceLock::from(header.max_timestamp);
        }
        self.appended = header.last_offset().0;
        self.unindexed += header.size as u64;
        self.size = position + header.size as u64;
    }

    fn index_time(&mut self, newest: &mut Newest) {
        if newest.timestamp > newest.indexed {
            let relative_offset = (newest.offset - self.base) as i32;
            let timestamp = newest.timestamp;
            self.times.push(TimeEntry { timestamp, relative_offset }.encode());
            newest.indexed = timestamp;
        }
    }

    /// Notes an aborted transaction, written at once: there are few.
    pub(crate) fn on_aborted(&mut self, home: &Home, txn: AbortedTxn) -> Result<(), StorageError> {
        self.txns.push(txn.encode());
        self.txns.write_out(home.at(self.base, TXN_INDEX))
    }

    /// The aborted transactions whose markers it holds.
    pub(crate) fn aborted(&self, home: &Home) -> Result<Vec<AbortedTxn>, StorageError> {
        let at = home.at(self.base, TXN_INDEX);
        let mut aborted = Vec::new();
        for index in 0..self.txns.len(at)? {
            let entry = AbortedTxn::decode(&self.txns.entry(at, index)?);
            aborted.push(entry.ok_or_else(|| StorageError::corrupt(at.path(), "unknown version"))?);
        }
        Ok(aborted)
    }

    /// Writes what the indexes have in memory, the time index up to the newest record: at roll and
    /// at clean close. Answers the files to sync.
    pub(crate) fn seal(&mut self, home: &Home) -> Result<Vec<Arc<dyn DiskFile>>, StorageError> {
        let mut newest = self.newest(home)?;
        self.index_time(&mut newest);
        self.newest = OnceLock::from(newest);
        self.offsets.write_out(home.at(self.base, INDEX))?;
        self.times.write_out(home.at(self.base, TIME_INDEX))?;
        let indexes = [self.offsets.file(), self.times.file(), self.txns.file()];
        let mut files = vec![Arc::clone(self.file(home)?)];
        files.extend(indexes.into_iter().flatten().cloned());
        Ok(files)
    }

    /// Cuts it so that `position`, where the batch with the first offset `offset` began, is its end.
    pub(crate) fn truncate(
        &mut self,
        home: &Home,
        position: u64,
        offset: i64,
    ) -> Result<(), StorageError> {
        let at = home.at(self.base, LOG);
        self.file(home)?.set_len(position).map_err(|error| at.failed(error))?;
        self.size = position;
        let relative = offset - self.base;
        let at = home.at(self.base, INDEX);
        let (keep, _) = self.offsets.last_before(at, 1.0, |entry| {
            (OffsetEntry::decode(entry).position as u64) < position
        })?;
        self.offsets.truncate(at, keep)?;
        let at = home.at(self.base, TIME_INDEX);
        let (keep, _) = self.times.last_before(at, 1.0, |entry| {
            i64::from(TimeEntry::decode(entry).relative_offset) < relative
        })?;
        self.times.truncate(at, keep)?;
        let at = home.at(self.base, TXN_INDEX);
        let (keep, _) = self.txns.last_before(at, 1.0, |entry| {
            AbortedTxn::decode(entry).is_some_and(|txn| txn.last_offset.0 < offset)
        })?;
        self.txns.truncate(at, keep)?;
        if position == 0 {
            self.first_timestamp = OnceLock::new();
        }
        self.unindexed = 0;
        self.appended = offset;
        self.find_newest_again(home)
    }

    /// After a cut the newest record may be one that the time index has not noted.
    fn find_newest_again(&mut self, home: &Home) -> Result<(), StorageError> {
        self.newest = OnceLock::new();
        let mut newest = self.newest(home)?;
        let start = match newest.indexed {
            NO_TIMESTAMP => 0,
            _ => self.position_before(home, newest.offset)?,
        };
        let mut hops = self.hops(home, start)?;
        while let Some(placed) = hops.next()? {
            let header = &placed.header;
            if header.count > 0 && header.max_timestamp > newest.timestamp {
                newest.timestamp = placed.header.max_timestamp;
                newest.offset = placed.header.last_offset().0;
            }
        }
        self.newest = OnceLock::from(newest);
        Ok(())
    }

    /// Empties the indexes, to be filled anew by a scan.
    pub(crate) fn clear_indexes(&mut self, home: &Home) -> Result<(), StorageError> {
        self.offsets.clear(home.at(self.base, INDEX))?;
        self.times.clear(home.at(self.base, TIME_INDEX))?;
        self.txns.clear(home.at(self.base, TXN_INDEX))?;
        self.newest = OnceLock::from(Newest::NONE);
        self.first_timestamp = OnceLock::new();
        self.unindexed = 0;
        Ok(())
    }
}
