//! The last offset of each key, in bounded memory, and how it is found.
//!
//! Whole keys are kept, not hashes of them: two keys can never be taken for one. The price is room
//! for fewer keys at once, and a log with more of them takes several rounds.

use std::collections::HashMap;

use kalda_env::OpenMode;
use kalda_records::{BatchView, Compression, RecordIter, RecordView, compression::decompress};

use crate::error::StorageError;
use crate::hop::{Damage, Scan};
use crate::names::{Home, LOG};

use super::super::lookup::DECOMPRESSED_BYTES_MAX;
use super::plan::{Compaction, Source};
use super::rewrite::Rewriting;
use super::transactions::Transactions;
use super::{CompactError, Pace, keep_pace};

/// What an entry takes besides its key, at the worst: its slots in a table that has just grown, the
/// old table while it grows, and what the allocator adds.
const ENTRY_BYTES: usize = 96;

/// Key → last offset.
#[derive(Debug)]
pub(super) struct KeyMap {
    latest: HashMap<Box<[u8]>, i64>,
    bytes: usize,
    bytes_max: usize,
}

impl KeyMap {
    fn new(bytes_max: usize) -> Self {
        Self { latest: HashMap::new(), bytes: 0, bytes_max }
    }

    fn note(&mut self, key: &[u8], offset: i64) {
        if let Some(latest) = self.latest.get_mut(key) {
            *latest = offset;
        } else {
            self.bytes += key.len() + ENTRY_BYTES;
            self.latest.insert(key.into(), offset);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// The last offset of `key` in the dirty part, if it is there.
    pub(super) fn latest(&self, key: &[u8]) -> Option<i64> {
        self.latest.get(key).copied()
    }
}

impl Compaction {
    /// Reads the dirty part, without the lock, into at most `bytes_max` bytes (and the keys of one
    /// batch more). If they do not suffice, this round ends where they ended.
    ///
    /// # Errors
    /// See [`CompactError`].
    pub fn map_keys(
        mut self,
        bytes_max: usize,
        pace: &mut Pace<'_>,
    ) -> Result<Rewriting, CompactError> {
        let mut map = KeyMap::new(bytes_max);
        let mut transactions = Transactions::new(&self.aborted);
        for source in self.sources.iter().filter(|source| source.end > self.start) {
            let full_at = map_segment(&self, source, &mut map, &mut transactions, pace)?;
            if let Some(end) = full_at {
                self.end = end;
                break;
            }
        }
        Ok(Rewriting::new(self, map))
    }
}

/// Answers where it had to stop, if it had to.
fn map_segment(
    compaction: &Compaction,
    source: &Source,
    map: &mut KeyMap,
    transactions: &mut Transactions,
    pace: &mut Pace<'_>,
) -> Result<Option<i64>, CompactError> {
    let mut scan = open_scan(&compaction.home, source)?;
    while let Some(view) = next_batch(&mut scan, &compaction.home, source)? {
        let size = view.size();
        let next = view.next_offset().0;
        if view.is_control() {
            transactions.on_control(&view);
        } else if !transactions.on_batch(&view) && next > compaction.start {
            each_record(&view, &compaction.home, source, |record| {
                if let Some(key) = record.key
                    && record.offset.0 >= compaction.start
                {
                    map.note(key, record.offset.0);
                }
            })?;
        }
        scan.advance(size as u64);
        keep_pace(pace, size)?;
        if map.is_full() {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

/// Opens a segment to be read whole, without the lock.
pub(super) fn open_scan<'a>(home: &'a Home, source: &Source) -> Result<Scan<'a>, StorageError> {
    let at = home.at(source.base, LOG);
    let file = home.disk.open(&at.path(), OpenMode::Read).map_err(|error| at.failed(error))?;
    Ok(Scan::new(home, source.base, file, 0, source.size))
}

/// The batch at the scan's position, checked.
pub(super) fn next_batch<'s>(
    scan: &'s mut Scan<'_>,
    home: &Home,
    source: &Source,
) -> Result<Option<BatchView<'s>>, StorageError> {
    let position = scan.position;
    match scan.peek(source.base)? {
        None => Ok(None),
        Some(Ok(view)) => Ok(Some(view)),
        Some(Err(damage)) => Err(damaged(home, source, position, damage)),
    }
}

fn damaged(home: &Home, source: &Source, position: u64, damage: Damage) -> StorageError {
    let path = home.path(source.base, LOG);
    StorageError::corrupt(path, format!("at position {position}: {damage}"))
}

/// Shows each record of a batch of records.
pub(super) fn each_record(
    view: &BatchView<'_>,
    home: &Home,
    source: &Source,
    mut show: impl FnMut(&RecordView<'_>),
) -> Result<(), StorageError> {
    let corrupt = |error: &dyn std::fmt::Display| {
        let path = home.path(source.base, LOG);
        StorageError::corrupt(path, format!("the batch at offset {}: {error}", view.base_offset()))
    };
    let codec = view.compression().ok_or_else(|| corrupt(&"unknown compression"))?;
    let plain;
    let payload = match codec {
        Compression::None => view.payload(),
        _ if view.count() == 0 => &[],
        codec => {
            plain = decompress(codec, view.payload(), DECOMPRESSED_BYTES_MAX)
                .map_err(|error| corrupt(&error))?;
            &plain
        }
    };
    for record in RecordIter::new(payload, &view.header()) {
        show(&record.map_err(|error| corrupt(&error))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_counts_what_it_holds() {
        let mut map = KeyMap::new(2 * (ENTRY_BYTES + 3));
        map.note(b"one", 1);
        map.note(b"one", 5);
        assert!(!map.is_full());
        map.note(b"two", 2);
        assert!(map.is_full());
        assert_eq!((map.latest(b"one"), map.latest(b"two")), (Some(5), Some(2)));
        assert_eq!(map.latest(b"three"), None);
    }
}
