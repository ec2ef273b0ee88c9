//! Reading: from an offset to a range of a file, without decoding a batch.
//!
//! At the tail the answer comes from memory. Elsewhere it costs a lookup in the index and a few
//! header hops.

use std::sync::Arc;

use bytes::Bytes;
use kalda_env::DiskFile;
use kalda_model::Offset;

use crate::error::{ReadError, StorageError};

use super::Log;

/// Whole batches in one file. It stays readable after the lock is released and after the segment
/// was deleted; the bytes past the log's end at the time are never part of it.
#[derive(Clone, Debug)]
pub struct LogSlice {
    /// The log file.
    pub file: Arc<dyn DiskFile>,
    /// Where in the file, in bytes.
    pub position: u64,
    /// How many bytes.
    pub len: usize,
    /// The base offset of the first batch; may be below the offset asked for.
    pub base_offset: Offset,
    /// The segment that it lies in.
    pub segment_base_offset: Offset,
}

impl LogSlice {
    /// Reads it into memory.
    ///
    /// # Errors
    /// The disk failed.
    pub fn read_bytes(&self) -> std::io::Result<Bytes> {
        let mut bytes = vec![0; self.len];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes.into())
    }
}

/// What bounds a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadOptions {
    /// The most bytes.
    pub max_bytes: usize,
    /// No batch that reaches this offset: high watermark, last stable offset or log end.
    pub upper: Offset,
    /// Whether the first batch comes even if it is larger than `max_bytes` (KIP-74).
    pub min_one_batch: bool,
}

impl Log {
    /// Finds whole batches, the first being the one that holds `from` or the next one after it.
    /// Never crosses a segment. `None` when there is nothing below the bound.
    ///
    /// # Errors
    /// `from` is not between the log's start and end, or the disk failed.
    pub fn read(&self, from: Offset, options: ReadOptions) -> Result<Option<LogSlice>, ReadError> {
        if from.0 < self.log_start || from.0 > self.log_end {
            let (log_start, log_end) = (Offset(self.log_start), Offset(self.log_end));
            return Err(ReadError::OutOfRange { from, log_start, log_end });
        }
        let upper = options.upper.0.min(self.log_end);
        if from.0 >= upper {
            return Ok(None);
        }
        if let Some(range) = self.find_in_tail(from.0, upper, options) {
            return Ok(self.slice(self.segments.len() - 1, range)?);
        }
        let mut index = self.segment_index(from.0);
        loop {
            if let Some(range) = self.find_in_segment(index, from.0, upper, options)? {
                return Ok(self.slice(index, range)?);
            }
            // Compaction can leave a segment whose last batches are gone.
            index += 1;
            if index == self.segments.len() || self.segments[index].base >= upper {
                return Ok(None);
            }
        }
    }

    /// Whether more of the log lies behind the segment that a slice is of.
    #[must_use]
    pub fn is_on_older_segment(&self, slice: &LogSlice) -> bool {
        slice.segment_base_offset.0 < self.active().base
    }

    fn slice(&self, index: usize, range: Range) -> Result<Option<LogSlice>, StorageError> {
        if range.end == range.start {
            return Ok(None);
        }
        let segment = &self.segments[index];
        Ok(Some(LogSlice {
            file: Arc::clone(segment.file(&self.home)?),
            position: range.start,
            len: (range.end - range.start) as usize,
            base_offset: Offset(range.base_offset),
            segment_base_offset: Offset(segment.base),
        }))
    }

    fn find_in_tail(&self, from: i64, upper: i64, options: ReadOptions) -> Option<Range> {
        let mut batches = self.tail.from(from)?;
        let first = batches.next()?;
        let mut range =
            Range { start: first.position, end: first.position, base_offset: first.base };
        let fits = |end: u64| end - first.position <= options.max_bytes as u64;
        if first.last >= upper || !fits(first.end()) && !options.min_one_batch {
            return Some(range);
        }
        range.end = first.end();
        for batch in batches.take_while(|batch| batch.last < upper && fits(batch.end())) {
            range.end = batch.end();
        }
        Some(range)
    }

    /// `None` when the segment has no batch that ends at `from` or after it.
    fn find_in_segment(
        &self,
        index: usize,
        from: i64,
        upper: i64,
        options: ReadOptions,
    ) -> Result<Option<Range>, StorageError> {
        let (home, segment) = (&self.home, &self.segments[index]);
        let Some(first) = segment.find(home, from)? else { return Ok(None) };
        let start = first.position;
        let base_offset = first.header.base_offset.0;
        let mut range = Range { start, end: start, base_offset };
        if first.header.last_offset().0 >= upper {
            return Ok(Some(range));
        }
        let next_base = self.segments.get(index + 1).map_or(self.log_end, |next| next.base);
        let bound = if upper >= next_base {
            segment.size
        } else {
            segment.find(home, upper)?.map_or(segment.size, |placed| placed.position)
        };
        let wanted = start.saturating_add(options.max_bytes as u64);
        range.end =
            if wanted >= bound { bound } else { segment.boundary_before(home, start, wanted)? };
        if range.end == start && options.min_one_batch {
            range.end = start + first.header.size as u64;
        }
        Ok(Some(range))
    }
}

#[derive(Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
    base_offset: i64,
}
