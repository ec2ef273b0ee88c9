//! Walks the records of a batch, over its bytes or over the stream that a codec gives, and keeps
//! nothing of them.

use crate::compression::{Compression, Decompressor};
use crate::header::{BatchView, NO_TIMESTAMP, TimestampType};
use crate::varint;

use super::{BatchError, BatchRules, RecordError, RecordFault};

/// What the walk found.
pub(super) struct Walked {
    pub(super) max_timestamp: i64,
    pub(super) max_timestamp_delta: i32,
}

pub(super) fn walk(
    view: &BatchView<'_>,
    compression: Compression,
    rules: &BatchRules,
) -> Result<Walked, BatchError> {
    match compression {
        Compression::None => walk_source(view, Plain { rest: view.payload(), at: 0 }, rules),
        codec => {
            let stream = Decompressor::new(codec, view.payload(), rules.decompressed_bytes_max)?;
            walk_source(view, Streamed::new(stream), rules)
        }
    }
}

/// Why a source gives no byte.
enum Stop {
    /// It has ended.
    End,
    Batch(BatchError),
}

/// Bytes in order, with a count of those passed.
trait Source {
    fn byte(&mut self) -> Result<u8, Stop>;
    fn skip(&mut self, len: usize) -> Result<(), Stop>;
    fn passed(&self) -> u64;
}

struct Plain<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Source for Plain<'_> {
    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.rest.get(self.at).ok_or(Stop::End)?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, len: usize) -> Result<(), Stop> {
        if len > self.rest.len() - self.at {
            return Err(Stop::End);
        }
        self.at += len;
        Ok(())
    }

    fn passed(&self) -> u64 {
        self.at as u64
    }
}

const CHUNK_BYTES: usize = 8 * 1024;

struct Streamed<'a> {
    stream: Decompressor<'a>,
    chunk: Box<[u8; CHUNK_BYTES]>,
    at: usize,
    len: usize,
    before: u64,
}

impl<'a> Streamed<'a> {
    fn new(stream: Decompressor<'a>) -> Self {
        Self { stream, chunk: Box::new([0; CHUNK_BYTES]), at: 0, len: 0, before: 0 }
    }

    fn fill(&mut self) -> Result<(), Stop> {
        self.before += self.len as u64;
        self.at = 0;
        self.len = 0;
        let read = self.stream.read(&mut self.chunk[..]);
        self.len = read.map_err(|error| Stop::Batch(error.into()))?;
        if self.len == 0 { Err(Stop::End) } else { Ok(()) }
    }
}

impl Source for Streamed<'_> {
    fn byte(&mut self) -> Result<u8, Stop> {
        if self.at == self.len {
            self.fill()?;
        }
        self.at += 1;
        Ok(self.chunk[self.at - 1])
    }

    fn skip(&mut self, mut len: usize) -> Result<(), Stop> {
        while len > self.len - self.at {
            len -= self.len - self.at;
            self.fill()?;
        }
        self.at += len;
        Ok(())
    }

    fn passed(&self) -> u64 {
        self.before + self.at as u64
    }
}

fn walk_source(
    view: &BatchView<'_>,
    mut source: impl Source,
    rules: &BatchRules,
) -> Result<Walked, BatchError> {
    let mut walked = Walked { max_timestamp: NO_TIMESTAMP, max_timestamp_delta: 0 };
    let mut faulty = Vec::new();
    let mut untimely = Vec::new();
    let range = timestamp_range(rules);
    for index in 0..view.count() {
        let record = match read_record(&mut source) {
            Ok(Some(record)) => record,
            Ok(None) => return Err(malformed(index)),
            Err(Stop::Batch(error)) => return Err(error),
            Err(Stop::End) => return Err(malformed(index)),
        };
        if record.offset_delta != index {
            let fault = RecordFault::OffsetDelta(record.offset_delta);
            return Err(BatchError::InvalidRecord(vec![RecordError { index, fault }]));
        }
        if rules.is_compacted && !record.has_key {
            faulty.push(RecordError { index, fault: RecordFault::NoKey });
        }
        let timestamp = view.base_timestamp().wrapping_add(record.timestamp_delta);
        if let Some((min, max)) = range
            && timestamp != NO_TIMESTAMP
            && !(min..=max).contains(&timestamp)
        {
            let fault = RecordFault::Timestamp { timestamp, min, max };
            untimely.push(RecordError { index, fault });
        }
        if timestamp > walked.max_timestamp {
            walked = Walked { max_timestamp: timestamp, max_timestamp_delta: index };
        }
    }
    match source.byte() {
        Err(Stop::End) => {}
        Ok(_) => return Err(BatchError::TrailingBytes),
        Err(Stop::Batch(error)) => return Err(error),
    }
    match (faulty.is_empty(), untimely.is_empty()) {
        (true, true) => Ok(walked),
        (true, false) => Err(BatchError::InvalidTimestamp(untimely)),
        (false, _) => Err(BatchError::InvalidRecord(faulty)),
    }
}

fn malformed(index: i32) -> BatchError {
    BatchError::InvalidRecord(vec![RecordError { index, fault: RecordFault::Malformed }])
}

fn timestamp_range(rules: &BatchRules) -> Option<(i64, i64)> {
    match rules.timestamp_type {
        TimestampType::LogAppendTime => None,
        TimestampType::CreateTime => Some((
            rules.now_ms.saturating_sub(rules.timestamp_before_max_ms),
            rules.now_ms.saturating_add(rules.timestamp_after_max_ms),
        )),
    }
}

struct Record {
    timestamp_delta: i64,
    offset_delta: i32,
    has_key: bool,
}

/// The next record; `None` when its lengths contradict each other.
fn read_record(source: &mut impl Source) -> Result<Option<Record>, Stop> {
    let Some(len) = varint::read_i32(|| source.byte())? else { return Ok(None) };
    let start = source.passed();
    source.byte()?; // attributes: unused so far
    let Some(timestamp_delta) = varint::read_i64(|| source.byte())? else { return Ok(None) };
    let Some(offset_delta) = varint::read_i32(|| source.byte())? else { return Ok(None) };
    let Some(has_key) = skip_nullable(source)? else { return Ok(None) };
    if skip_nullable(source)?.is_none() {
        return Ok(None);
    }
    let Some(headers) = varint::read_i32(|| source.byte())? else { return Ok(None) };
    if headers < 0 {
        return Ok(None);
    }
    for _ in 0..headers {
        // A header's key is never null.
        if skip_nullable(source)? != Some(true) || skip_nullable(source)?.is_none() {
            return Ok(None);
        }
    }
    let is_whole = i64::try_from(source.passed() - start) == Ok(i64::from(len));
    Ok(is_whole.then_some(Record { timestamp_delta, offset_delta, has_key }))
}

/// Skips bytes behind their length. `Some(false)` when they are null, `None` when the length is
/// impossible.
fn skip_nullable(source: &mut impl Source) -> Result<Option<bool>, Stop> {
    match varint::read_i32(|| source.byte())? {
        Some(-1) => Ok(Some(false)),
        Some(len) if len >= 0 => {
            source.skip(len as usize)?;
            Ok(Some(true))
        }
        _ => Ok(None),
    }
}
