//! The records of an uncompressed (or decompressed) payload, borrowed.
//!
//! Used where records are looked at: consumers, compaction, coordinators, tools. The hot path of
//! the broker never comes here.

use std::fmt;

use kalda_model::Offset;

use crate::header::BatchHeader;
use crate::varint;

/// A record's bytes contradict themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedRecord;

impl fmt::Display for MalformedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record's lengths do not agree with its bytes")
    }
}

impl std::error::Error for MalformedRecord {}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp in ms: the producer's, or the batch's append time.
    pub timestamp: i64,
    /// Its key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is null, a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    header_count: i32,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// How many headers it has.
    #[must_use]
    pub fn header_count(&self) -> usize {
        self.header_count as usize
    }

    /// Its headers as they are encoded, without their count.
    pub(crate) fn encoded_headers(&self) -> (i32, &'a [u8]) {
        (self.header_count, self.headers)
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> HeaderIter<'a> {
        HeaderIter { rest: self.headers, left: self.header_count }
    }
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// Its key: UTF-8 by contract, not checked.
    pub key: &'a [u8],
    /// Its value; `None` is null.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record.
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    rest: &'a [u8],
    left: i32,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Result<RecordHeader<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let header = read_header(&mut self.rest);
        if header.is_err() {
            self.left = 0;
        }
        Some(header)
    }
}

/// The records of a payload. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    left: i32,
    base_offset: Offset,
    base_timestamp: i64,
    append_time: Option<i64>,
}

impl<'a> RecordIter<'a> {
    /// Over `payload`, which is not compressed (any more), of the batch with this header.
    #[must_use]
    pub fn new(payload: &'a [u8], header: &BatchHeader) -> Self {
        Self {
            rest: payload,
            left: header.count,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time: header.append_time(),
        }
    }

    fn read(&mut self) -> Result<RecordView<'a>, MalformedRecord> {
        let len = take_i32(&mut self.rest)?;
        let mut body = take(&mut self.rest, len)?;
        take(&mut body, 1)?; // attributes: unused so far
        let timestamp_delta = take_i64(&mut body)?;
        let offset_delta = take_i32(&mut body)?;
        let key = take_nullable(&mut body)?;
        let value = take_nullable(&mut body)?;
        let header_count = take_i32(&mut body)?;
        // A header takes two bytes at least, so a count beyond that is a lie.
        if header_count < 0 || header_count as usize > body.len() / 2 {
            return Err(MalformedRecord);
        }
        Ok(RecordView {
            offset: Offset(self.base_offset.0.saturating_add(i64::from(offset_delta))),
            timestamp: self
                .append_time
                .unwrap_or_else(|| self.base_timestamp.saturating_add(timestamp_delta)),
            key,
            value,
            header_count,
            headers: body,
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordView<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let record = self.read();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

fn read_header<'a>(rest: &mut &'a [u8]) -> Result<RecordHeader<'a>, MalformedRecord> {
    let key = take_nullable(rest)?.ok_or(MalformedRecord)?;
    Ok(RecordHeader { key, value: take_nullable(rest)? })
}

fn take<'a>(rest: &mut &'a [u8], len: i32) -> Result<&'a [u8], MalformedRecord> {
    let len = usize::try_from(len).map_err(|_| MalformedRecord)?;
    let (taken, after) = rest.split_at_checked(len).ok_or(MalformedRecord)?;
    *rest = after;
    Ok(taken)
}

fn take_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, MalformedRecord> {
    match take_i32(rest)? {
        -1 => Ok(None),
        len => take(rest, len).map(Some),
    }
}

fn take_byte(rest: &mut &[u8]) -> Result<u8, MalformedRecord> {
    let (first, after) = rest.split_first().ok_or(MalformedRecord)?;
    *rest = after;
    Ok(*first)
}

fn take_i32(rest: &mut &[u8]) -> Result<i32, MalformedRecord> {
    varint::read_i32(|| take_byte(rest))?.ok_or(MalformedRecord)
}

fn take_i64(rest: &mut &[u8]) -> Result<i64, MalformedRecord> {
    varint::read_i64(|| take_byte(rest))?.ok_or(MalformedRecord)
}
