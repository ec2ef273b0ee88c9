//! The header of a batch, read in place: every field by accessor, the records untouched.
//!
//! A [`BatchView`] is only made over bytes that hold the whole batch and say magic 2, so its
//! accessors cannot fail. It promises nothing about the records; [`crate::validate`] does.

use std::fmt;

use kalda_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::compression::Compression;
use crate::crc32c;
use crate::record::RecordIter;

/// Bytes before what the length field counts: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes of a batch before its first record.
pub const BATCH_OVERHEAD: usize = 61;
/// The only message format that is written.
pub const MAGIC_V2: i8 = 2;
/// A timestamp that says "none".
pub const NO_TIMESTAMP: i64 = -1;
/// The sequence of a batch whose producer is not idempotent.
pub const NO_SEQUENCE: i32 = -1;

pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const LEADER_EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const LAST_OFFSET_DELTA_AT: usize = 23;
pub(crate) const BASE_TIMESTAMP_AT: usize = 27;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
pub(crate) const PRODUCER_ID_AT: usize = 43;
pub(crate) const PRODUCER_EPOCH_AT: usize = 51;
pub(crate) const BASE_SEQUENCE_AT: usize = 53;
pub(crate) const COUNT_AT: usize = 57;

pub(crate) const COMPRESSION_MASK: i16 = 0x07;
pub(crate) const LOG_APPEND_TIME_BIT: i16 = 0x08;
pub(crate) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(crate) const CONTROL_BIT: i16 = 0x20;
pub(crate) const DELETE_HORIZON_BIT: i16 = 0x40;

/// Whose clock the timestamps of a batch come from (`message.timestamp.type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The broker's, at append; it stands in the header and holds for every record.
    LogAppendTime,
}

/// Why bytes are not a batch that can be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MalformedBatch {
    /// The bytes end before the batch does: the batch needs this many.
    Incomplete {
        /// The size that the batch claims, or the least that a batch has.
        needed: usize,
    },
    /// The length field is less than a header or negative.
    Length(i32),
    /// Another message format.
    Magic(i8),
}

impl fmt::Display for MalformedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { needed } => write!(f, "the batch needs {needed} bytes"),
            Self::Length(len) => {
                write!(f, "Record size {len} is less than the minimum record overhead (14)")
            }
            Self::Magic(magic) => write!(f, "message format v{magic} is not v2"),
        }
    }
}

impl std::error::Error for MalformedBatch {}

/// The size in bytes that the batch at the front of `bytes` claims, header included.
///
/// # Errors
/// Too few bytes to tell, another format, or an impossible length. `bytes` may hold less than the
/// batch.
pub fn claimed_size(bytes: &[u8]) -> Result<usize, MalformedBatch> {
    if bytes.len() <= MAGIC_AT {
        return Err(MalformedBatch::Incomplete { needed: BATCH_OVERHEAD });
    }
    let len = i32_at(bytes, LENGTH_AT);
    let magic = bytes[MAGIC_AT] as i8;
    if magic != MAGIC_V2 {
        return Err(MalformedBatch::Magic(magic));
    }
    match usize::try_from(len) {
        Ok(size) if size + LOG_OVERHEAD >= BATCH_OVERHEAD => Ok(size + LOG_OVERHEAD),
        _ => Err(MalformedBatch::Length(len)),
    }
}

/// One whole v2 batch, borrowed.
#[derive(Clone, Copy)]
pub struct BatchView<'a> {
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the front of `bytes`; what follows it is left out.
    ///
    /// # Errors
    /// The bytes do not begin with a whole v2 batch.
    pub fn new(bytes: &'a [u8]) -> Result<Self, MalformedBatch> {
        let size = claimed_size(bytes)?;
        match bytes.get(..size) {
            Some(bytes) => Ok(Self { bytes }),
            None => Err(MalformedBatch::Incomplete { needed: size }),
        }
    }

    /// All its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its size in bytes, header included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// What follows the header: records, perhaps compressed.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[BATCH_OVERHEAD..]
    }

    /// The header's facts, copied out.
    #[must_use]
    pub fn header(&self) -> BatchHeader {
        BatchHeader::parse(self.bytes)
    }

    /// The offset of its first record (of the first it was written with, after compaction).
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset(i64_at(self.bytes, 0))
    }

    /// The offset of its last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(i64_at(self.bytes, 0).saturating_add(i64::from(self.last_offset_delta())))
    }

    /// The offset after its last record.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// How far the last offset is from the base.
    #[must_use]
    pub fn last_offset_delta(&self) -> i32 {
        i32_at(self.bytes, LAST_OFFSET_DELTA_AT)
    }

    /// The epoch of the leader that appended it.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32_at(self.bytes, LEADER_EPOCH_AT))
    }

    /// The stored CRC32C.
    #[must_use]
    pub fn crc(&self) -> u32 {
        i32_at(self.bytes, CRC_AT) as u32
    }

    /// The CRC32C of what it covers: everything from the attributes on.
    #[must_use]
    pub fn computed_crc(&self) -> u32 {
        crc32c(&self.bytes[ATTRIBUTES_AT..])
    }

    /// Whether stored and computed CRC agree.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.crc() == self.computed_crc()
    }

    /// The attribute bits.
    #[must_use]
    pub fn attributes(&self) -> i16 {
        i16_at(self.bytes, ATTRIBUTES_AT)
    }

    /// The codec of the payload; `None` for an id that is not Kafka's.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        Compression::from_id((self.attributes() & COMPRESSION_MASK) as u8)
    }

    /// Whose clock stamped it.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether it belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL_BIT != 0
    }

    /// Whether it holds a control record.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL_BIT != 0
    }

    /// When compaction may drop its tombstones or marker (KIP-534), if that was set.
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes() & DELETE_HORIZON_BIT != 0).then(|| self.base_timestamp())
    }

    /// The timestamp that the records' deltas count from.
    #[must_use]
    pub fn base_timestamp(&self) -> i64 {
        i64_at(self.bytes, BASE_TIMESTAMP_AT)
    }

    /// The largest timestamp of its records, or the append time.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        i64_at(self.bytes, MAX_TIMESTAMP_AT)
    }

    /// Its producer, [`ProducerId::NONE`] when that is not idempotent.
    #[must_use]
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(i64_at(self.bytes, PRODUCER_ID_AT))
    }

    /// The producer's epoch.
    #[must_use]
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16_at(self.bytes, PRODUCER_EPOCH_AT))
    }

    /// The sequence of its first record.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        i32_at(self.bytes, BASE_SEQUENCE_AT)
    }

    /// The sequence of its last record; wraps to 0 after `i32::MAX`.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence() {
            NO_SEQUENCE => NO_SEQUENCE,
            base => sequence_plus(base, self.last_offset_delta()),
        }
    }

    /// How many records it says it holds. After compaction fewer than its offsets span.
    #[must_use]
    pub fn count(&self) -> i32 {
        i32_at(self.bytes, COUNT_AT)
    }

    /// The records of an uncompressed batch; of a compressed one, decompress the payload first and
    /// use [`RecordIter::new`].
    #[must_use]
    pub fn records(&self) -> RecordIter<'a> {
        RecordIter::new(self.payload(), &self.header())
    }
}

impl fmt::Debug for BatchView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header().fmt(f)
    }
}

/// The fields of a header, copied out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// See [`BatchView::base_offset`].
    pub base_offset: Offset,
    /// See [`BatchView::leader_epoch`].
    pub leader_epoch: LeaderEpoch,
    /// See [`BatchView::last_offset_delta`].
    pub last_offset_delta: i32,
    /// See [`BatchView::attributes`].
    pub attributes: i16,
    /// See [`BatchView::base_timestamp`].
    pub base_timestamp: i64,
    /// See [`BatchView::max_timestamp`].
    pub max_timestamp: i64,
    /// See [`BatchView::producer_id`].
    pub producer_id: ProducerId,
    /// See [`BatchView::producer_epoch`].
    pub producer_epoch: ProducerEpoch,
    /// See [`BatchView::base_sequence`].
    pub base_sequence: i32,
    /// See [`BatchView::count`].
    pub count: i32,
    /// Bytes of the whole batch, as its length field claims.
    pub size: usize,
}

impl BatchHeader {
    /// Reads a header alone, the rest of its batch not being at hand (a reader hopping over a file).
    ///
    /// # Errors
    /// Fewer than [`BATCH_OVERHEAD`] bytes, another format, or an impossible length.
    pub fn peek(bytes: &[u8]) -> Result<Self, MalformedBatch> {
        claimed_size(bytes)?;
        if bytes.len() < BATCH_OVERHEAD {
            return Err(MalformedBatch::Incomplete { needed: BATCH_OVERHEAD });
        }
        Ok(Self::parse(bytes))
    }

    fn parse(bytes: &[u8]) -> Self {
        Self {
            base_offset: Offset(i64_at(bytes, 0)),
            leader_epoch: LeaderEpoch(i32_at(bytes, LEADER_EPOCH_AT)),
            last_offset_delta: i32_at(bytes, LAST_OFFSET_DELTA_AT),
            attributes: i16_at(bytes, ATTRIBUTES_AT),
            base_timestamp: i64_at(bytes, BASE_TIMESTAMP_AT),
            max_timestamp: i64_at(bytes, MAX_TIMESTAMP_AT),
            producer_id: ProducerId(i64_at(bytes, PRODUCER_ID_AT)),
            producer_epoch: ProducerEpoch(i16_at(bytes, PRODUCER_EPOCH_AT)),
            base_sequence: i32_at(bytes, BASE_SEQUENCE_AT),
            count: i32_at(bytes, COUNT_AT),
            size: i32_at(bytes, LENGTH_AT) as usize + LOG_OVERHEAD,
        }
    }

    /// The offset of the batch's last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds a control record.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// The append time that holds for every record, if the batch has one.
    #[must_use]
    pub fn append_time(&self) -> Option<i64> {
        (self.attributes & LOG_APPEND_TIME_BIT != 0).then_some(self.max_timestamp)
    }
}

/// The sequence `count` after `base`, as Kafka wraps it (`DefaultRecordBatch.incrementSequence`).
#[must_use]
pub fn sequence_plus(base: i32, count: i32) -> i32 {
    match base.checked_add(count) {
        Some(sequence) => sequence,
        None => count - (i32::MAX - base) - 1,
    }
}

/// Stamps what the CRC does not cover.
///
/// # Panics
/// When `header` is shorter than a header: a caller's bug.
pub fn stamp(header: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    header[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    header[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// The batches of a byte range, first to last. Ends after the first error; an incomplete batch at
/// the end is an error too ([`MalformedBatch::Incomplete`]).
#[derive(Clone, Debug)]
pub struct BatchIter<'a> {
    rest: &'a [u8],
}

impl<'a> BatchIter<'a> {
    /// Over `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for BatchIter<'a> {
    type Item = Result<BatchView<'a>, MalformedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = BatchView::new(self.rest);
        self.rest = batch.as_ref().map_or(&[][..], |batch| &self.rest[batch.size()..]);
        Some(batch)
    }
}

pub(crate) fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(bytes[at..at + 2].try_into().expect("a range of two bytes"))
}

pub(crate) fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("a range of four bytes"))
}

pub(crate) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("a range of eight bytes"))
}
