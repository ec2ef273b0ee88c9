//! The gate of the log: bytes of a stranger become a [`ValidBatch`], or an error that costs only
//! them.
//!
//! Called by the produce handler, once per partition and request, before any lock is taken. It
//! reads every record's structure but copies none; a compressed payload is walked as it streams out
//! of its codec. The rules are those of Kafka's `LogValidator` and `ProduceRequest.validateRecords`.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use kalda_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::compression::{Compression, CompressionError, CompressionType, compress, decompress};
use crate::header::{
    ATTRIBUTES_AT, BATCH_OVERHEAD, BatchView, COMPRESSION_MASK, CRC_AT, LENGTH_AT,
    LOG_APPEND_TIME_BIT, LOG_OVERHEAD, MAX_TIMESTAMP_AT, MalformedBatch, TimestampType, stamp,
};

mod error;
mod walk;

pub use error::{BatchError, RecordError, RecordFault};

/// What the topic, the request's version and the time demand of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchRules {
    /// `max.message.bytes`: the largest batch, header included.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// The wall clock.
    pub now_ms: i64,
    /// `compression.type`.
    pub compression: CompressionType,
    /// Whether `cleanup.policy` has `compact`, so that every record needs a key.
    pub is_compacted: bool,
    /// Whether the request's version knows Zstandard (Produce v7).
    pub is_zstd_allowed: bool,
    /// The most bytes that a payload may have when decompressed.
    pub decompressed_bytes_max: usize,
}

impl Default for BatchRules {
    /// Kafka's defaults, at time 0.
    fn default() -> Self {
        Self {
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            now_ms: 0,
            compression: CompressionType::Producer,
            is_compacted: false,
            is_zstd_allowed: true,
            decompressed_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// What is known of a validated batch without looking at it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchFacts {
    /// How many offsets it takes.
    pub count: i32,
    /// Its producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of its first record, or [`crate::NO_SEQUENCE`].
    pub base_sequence: i32,
    /// The sequence of its last record, or [`crate::NO_SEQUENCE`].
    pub last_sequence: i32,
    /// The largest timestamp.
    pub max_timestamp: i64,
    /// The first record with the largest timestamp, counted from the batch's first.
    pub max_timestamp_delta: i32,
    /// Whether it belongs to a transaction.
    pub is_transactional: bool,
    /// Whether it holds control records.
    pub is_control: bool,
    /// Its codec, as it will be written.
    pub compression: Compression,
}

/// One batch that may be appended. The header is a copy of its own, so that stamping touches
/// nothing that others see; the payload is the producer's bytes, where they were received.
#[derive(Clone, Debug)]
pub struct ValidBatch<'a> {
    header: [u8; BATCH_OVERHEAD],
    payload: Payload<'a>,
    facts: BatchFacts,
}

/// What follows the header.
#[derive(Clone, Debug)]
enum Payload<'a> {
    Received(&'a [u8]),
    /// Built or compressed anew by this process.
    Own(Bytes),
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Received(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

impl ValidBatch<'static> {
    /// Takes a batch that this process built itself: its header and CRC are checked, its records
    /// are not walked.
    ///
    /// # Errors
    /// The bytes are not one intact batch.
    pub fn own(bytes: Bytes) -> Result<Self, BatchError> {
        let view = the_only_batch(&bytes)?;
        if !view.is_intact() {
            return Err(BatchError::CorruptMessage {
                stored: view.crc(),
                computed: view.computed_crc(),
            });
        }
        let compression = view.compression().ok_or(BatchError::UnknownCompression)?;
        let payload = Payload::Own(bytes.slice(BATCH_OVERHEAD..));
        Ok(Self::from_view(&view, payload, compression))
    }
}

impl<'a> ValidBatch<'a> {
    /// Validates what a client wants appended: exactly one v2 batch (Produce v3 and later).
    ///
    /// # Errors
    /// The first rule that is broken; for rules about single records, every record that breaks it.
    pub fn validate(bytes: &'a [u8], rules: &BatchRules) -> Result<Self, BatchError> {
        let view = the_only_batch(bytes)?;
        if view.size() > rules.max_message_bytes {
            return Err(BatchError::MessageTooLarge {
                size: view.size(),
                max: rules.max_message_bytes,
            });
        }
        if !view.is_intact() {
            return Err(BatchError::CorruptMessage {
                stored: view.crc(),
                computed: view.computed_crc(),
            });
        }
        let compression = check_header(&view, rules)?;
        let walked = walk::walk(&view, compression, rules)?;
        let mut batch = Self::from_view(&view, Payload::Received(view.payload()), compression);
        batch.facts.max_timestamp_delta = walked.max_timestamp_delta;
        if rules.timestamp_type == TimestampType::CreateTime {
            batch.set_max_timestamp(walked.max_timestamp, TimestampType::CreateTime);
        }
        if let CompressionType::Codec { codec, level } = rules.compression
            && codec != compression
        {
            batch.recompress(codec, level, rules)?;
        }
        Ok(batch)
    }

    /// Its facts.
    #[must_use]
    pub fn facts(&self) -> &BatchFacts {
        &self.facts
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        BATCH_OVERHEAD + self.payload.len()
    }

    /// Its bytes, in two pieces that follow each other: header and payload.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.header, &self.payload]
    }

    /// Its bytes, in one new piece.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.parts().concat().into()
    }

    /// Stamps the place in the log that it was given.
    pub fn stamp(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        stamp(&mut self.header, base_offset, leader_epoch);
    }

    /// Stamps the append time that holds for every record (`message.timestamp.type=LogAppendTime`).
    pub fn stamp_append_time(&mut self, now_ms: i64) {
        self.set_max_timestamp(now_ms, TimestampType::LogAppendTime);
        self.facts.max_timestamp_delta = self.facts.count - 1;
    }

    fn from_view(view: &BatchView<'_>, payload: Payload<'a>, compression: Compression) -> Self {
        let mut header = [0; BATCH_OVERHEAD];
        header.copy_from_slice(&view.bytes()[..BATCH_OVERHEAD]);
        let facts = BatchFacts {
            count: view.last_offset_delta() + 1,
            producer_id: view.producer_id(),
            producer_epoch: view.producer_epoch(),
            base_sequence: view.base_sequence(),
            last_sequence: view.last_sequence(),
            max_timestamp: view.max_timestamp(),
            max_timestamp_delta: view.last_offset_delta(),
            is_transactional: view.is_transactional(),
            is_control: view.is_control(),
            compression,
        };
        Self { header, payload, facts }
    }

    fn set_max_timestamp(&mut self, timestamp: i64, of: TimestampType) {
        let mut attributes = self.attributes();
        match of {
            TimestampType::CreateTime => attributes &= !LOG_APPEND_TIME_BIT,
            TimestampType::LogAppendTime => attributes |= LOG_APPEND_TIME_BIT,
        }
        if timestamp == self.facts.max_timestamp && attributes == self.attributes() {
            return;
        }
        self.facts.max_timestamp = timestamp;
        self.put(MAX_TIMESTAMP_AT, &timestamp.to_be_bytes());
        self.put(ATTRIBUTES_AT, &attributes.to_be_bytes());
        self.seal();
    }

    fn recompress(
        &mut self,
        codec: Compression,
        level: Option<i32>,
        rules: &BatchRules,
    ) -> Result<(), BatchError> {
        let plain;
        let records = match self.facts.compression {
            Compression::None => &self.payload[..],
            from => {
                plain = decompress(from, &self.payload, rules.decompressed_bytes_max)?;
                &plain
            }
        };
        let mut payload = Vec::new();
        compress(codec, level, records, &mut payload).map_err(CompressionError::Corrupt)?;
        self.payload = Payload::Own(payload.into());
        self.facts.compression = codec;
        if self.size() > rules.max_message_bytes {
            return Err(BatchError::MessageTooLarge {
                size: self.size(),
                max: rules.max_message_bytes,
            });
        }
        let attributes = (self.attributes() & !COMPRESSION_MASK) | i16::from(codec.id());
        self.put(ATTRIBUTES_AT, &attributes.to_be_bytes());
        self.put(LENGTH_AT, &((self.size() - LOG_OVERHEAD) as i32).to_be_bytes());
        self.seal();
        Ok(())
    }

    fn attributes(&self) -> i16 {
        crate::header::i16_at(&self.header, ATTRIBUTES_AT)
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        self.header[at..at + value.len()].copy_from_slice(value);
    }

    fn seal(&mut self) {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.header[ATTRIBUTES_AT..]);
        digest.update(&self.payload);
        self.put(CRC_AT, &(digest.finalize() as u32).to_be_bytes());
    }
}

/// The batch that `bytes` are, when they are one and nothing else.
fn the_only_batch(bytes: &[u8]) -> Result<BatchView<'_>, BatchError> {
    if bytes.is_empty() {
        return Err(BatchError::NoBatch);
    }
    let view = match BatchView::new(bytes) {
        Ok(view) => view,
        Err(MalformedBatch::Magic(0 | 1)) => return Err(BatchError::OldFormat),
        Err(error) => return Err(BatchError::Malformed(error)),
    };
    match bytes.len() - view.size() {
        0 => Ok(view),
        _ => Err(BatchError::MoreThanOneBatch),
    }
}

/// The rules that the header alone can break.
fn check_header(view: &BatchView<'_>, rules: &BatchRules) -> Result<Compression, BatchError> {
    let compression = view.compression().ok_or(BatchError::UnknownCompression)?;
    if compression == Compression::Zstd && !rules.is_zstd_allowed {
        return Err(BatchError::UnsupportedCompressionType);
    }
    let (count, delta) = (view.count(), view.last_offset_delta());
    if count <= 0 || delta < 0 || count - 1 != delta {
        return Err(BatchError::Count { count, last_offset_delta: delta });
    }
    if view.is_control() {
        return Err(BatchError::ControlBatch);
    }
    let (producer, sequence) = (view.producer_id(), view.base_sequence());
    let is_idempotent = producer.0 >= 0;
    let has_sequence = sequence >= 0 && view.producer_epoch().0 >= 0;
    // Without a producer id the sequence means nothing: some clients leave it at 0 (sarama, kafkajs).
    if is_idempotent && !has_sequence {
        return Err(BatchError::Sequence { producer, sequence });
    }
    if view.is_transactional() && !is_idempotent {
        return Err(BatchError::TransactionalWithoutProducer);
    }
    if rules.timestamp_type == TimestampType::CreateTime
        && view.timestamp_type() == TimestampType::LogAppendTime
    {
        return Err(BatchError::ProducerSetAppendTime);
    }
    Ok(compression)
}

impl fmt::Display for ValidBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records in {} bytes", self.facts.count, self.size())
    }
}

#[cfg(test)]
mod tests;
