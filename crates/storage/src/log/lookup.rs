//! Looking up offsets by time (ListOffsets). The only place where the log looks at records.

use kalda_model::{LeaderEpoch, Offset};
use kalda_records::{BatchView, Compression, NO_TIMESTAMP, RecordIter, compression::decompress};

use crate::error::StorageError;
use crate::names::LOG;
use crate::segment::{Placed, Segment};

use super::Log;

/// The most that a batch may decompress to when it is looked into.
pub(super) const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// A record found by its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundTimestamp {
    /// Its timestamp in ms.
    pub timestamp: i64,
    /// Its offset.
    pub offset: Offset,
    /// The epoch of the leader that wrote it.
    pub leader_epoch: LeaderEpoch,
}

impl Log {
    /// The first record at or after `timestamp`.
    ///
    /// # Errors
    /// The disk failed, or a batch is damaged.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
    ) -> Result<Option<FoundTimestamp>, StorageError> {
        for segment in &self.segments {
            if segment.newest(&self.home)?.timestamp < timestamp {
                continue;
            }
            let found = self.find_in(segment, timestamp)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp of all (KIP-734).
    ///
    /// # Errors
    /// The disk failed, or a batch is damaged.
    pub fn max_timestamp(&self) -> Result<Option<FoundTimestamp>, StorageError> {
        let mut newest = NO_TIMESTAMP;
        for segment in &self.segments {
            newest = newest.max(segment.newest(&self.home)?.timestamp);
        }
        if newest == NO_TIMESTAMP { Ok(None) } else { self.offset_for_timestamp(newest) }
    }

    fn find_in(
        &self,
        segment: &Segment,
        timestamp: i64,
    ) -> Result<Option<FoundTimestamp>, StorageError> {
        let start = segment.position_before_timestamp(&self.home, timestamp)?;
        let mut hops = segment.hops(&self.home, start)?;
        while let Some(placed) = hops.next()? {
            let is_readable = placed.header.last_offset().0 >= self.log_start;
            if is_readable && placed.header.max_timestamp >= timestamp {
                let found = self.find_record(segment, placed, timestamp)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    fn find_record(
        &self,
        segment: &Segment,
        placed: Placed,
        timestamp: i64,
    ) -> Result<Option<FoundTimestamp>, StorageError> {
        let path = self.home.path(segment.base, LOG);
        let mut bytes = vec![0; placed.header.size];
        let file = segment.file(&self.home)?;
        file.read_exact_at(&mut bytes, placed.position).map_err(StorageError::disk(&path))?;
        let damaged = |error: &dyn std::fmt::Display| {
            StorageError::corrupt(&path, format!("at position {}: {error}", placed.position))
        };
        let view = BatchView::new(&bytes).map_err(|error| damaged(&error))?;
        let codec = view.compression().ok_or_else(|| damaged(&"unknown compression"))?;
        let plain;
        let payload = match codec {
            Compression::None => view.payload(),
            codec => {
                plain = decompress(codec, view.payload(), DECOMPRESSED_BYTES_MAX)
                    .map_err(|error| damaged(&error))?;
                &plain
            }
        };
        for record in RecordIter::new(payload, &view.header()) {
            let record = record.map_err(|error| damaged(&error))?;
            if record.timestamp >= timestamp && record.offset.0 >= self.log_start {
                return Ok(Some(FoundTimestamp {
                    timestamp: record.timestamp,
                    offset: record.offset,
                    leader_epoch: view.leader_epoch(),
                }));
            }
        }
        Ok(None)
    }
}
