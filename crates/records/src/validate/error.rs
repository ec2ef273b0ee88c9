//! Why a batch is refused. Every variant stands for one Kafka error code; the server's exhaustive
//! match names it.

use std::fmt;

use kalda_model::ProducerId;

use crate::compression::CompressionError;
use crate::header::MalformedBatch;

/// Why a batch is refused. The comment of each variant names Kafka's code.
#[derive(Debug)]
pub enum BatchError {
    /// `INVALID_RECORD`: nothing was sent for the partition.
    NoBatch,
    /// `INVALID_RECORD`: bytes follow the first batch.
    MoreThanOneBatch,
    /// `INVALID_RECORD`: message format v0 or v1 in a request that must carry v2.
    OldFormat,
    /// `CORRUPT_MESSAGE`: the bytes are not a whole batch.
    Malformed(MalformedBatch),
    /// `CORRUPT_MESSAGE`: the checksum does not fit.
    CorruptMessage {
        /// What the batch says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// `MESSAGE_TOO_LARGE`: more than `max.message.bytes`.
    MessageTooLarge {
        /// The batch's bytes, as they would be written.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// `MESSAGE_TOO_LARGE`: the decompressed records pass the limit.
    DecompressedTooLarge {
        /// The limit.
        max: usize,
    },
    /// `INVALID_RECORD`: the attributes name a codec that does not exist.
    UnknownCompression,
    /// `UNSUPPORTED_COMPRESSION_TYPE`: Zstandard in a Produce request before v7.
    UnsupportedCompressionType,
    /// `INVALID_RECORD`: the payload is not what its codec writes.
    Undecodable(std::io::Error),
    /// `INVALID_RECORD`: the record count does not agree with the offsets, or with the payload.
    Count {
        /// The header's count.
        count: i32,
        /// The header's last offset delta.
        last_offset_delta: i32,
    },
    /// `INVALID_RECORD`: bytes remain after the last record.
    TrailingBytes,
    /// `INVALID_RECORD`: clients do not write control records.
    ControlBatch,
    /// `INVALID_RECORD`: a producer id without a sequence, or the reverse.
    Sequence {
        /// The header's producer.
        producer: ProducerId,
        /// The header's base sequence.
        sequence: i32,
    },
    /// `INVALID_RECORD`: transactional without a producer id.
    TransactionalWithoutProducer,
    /// `INVALID_TIMESTAMP`: the producer claims the broker's append time.
    ProducerSetAppendTime,
    /// `INVALID_RECORD`: these records are wrong in themselves.
    InvalidRecord(Vec<RecordError>),
    /// `INVALID_TIMESTAMP`: the timestamps of these records are out of range.
    InvalidTimestamp(Vec<RecordError>),
}

/// What is wrong with one record of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordError {
    /// Its index in the batch, from 0.
    pub index: i32,
    /// What is wrong.
    pub fault: RecordFault,
}

/// What can be wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFault {
    /// Its lengths do not agree with its bytes.
    Malformed,
    /// Its offset is not the one after the previous record's.
    OffsetDelta(i32),
    /// It has no key, and the topic is compacted.
    NoKey,
    /// Its timestamp is too far from the broker's clock.
    Timestamp {
        /// The record's.
        timestamp: i64,
        /// The least allowed.
        min: i64,
        /// The most allowed.
        max: i64,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index;
        match self.fault {
            RecordFault::Malformed => write!(f, "Record {index} is malformed."),
            RecordFault::OffsetDelta(delta) => {
                write!(f, "Record {index} has offset delta {delta}, expected {index}.")
            }
            RecordFault::NoKey => {
                write!(f, "Compacted topic cannot accept message without key: record {index}.")
            }
            RecordFault::Timestamp { timestamp, min, max } => write!(
                f,
                "Timestamp {timestamp} of message with offset {index} is out of range. The timestamp should be within [{min}, {max}]."
            ),
        }
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBatch => f.write_str("The request has no record batch for the partition."),
            Self::MoreThanOneBatch => {
                f.write_str("The request has more than one record batch for the partition.")
            }
            Self::OldFormat => f.write_str("Record batches must have magic version 2."),
            Self::Malformed(error) => error.fmt(f),
            Self::CorruptMessage { stored, computed } => {
                write!(f, "Record is corrupt (stored crc = {stored}, computed crc = {computed})")
            }
            Self::MessageTooLarge { size, max } => write!(
                f,
                "The record batch size is {size} bytes which exceeds the maximum configured value of {max}."
            ),
            Self::DecompressedTooLarge { max } => {
                write!(f, "The records take more than {max} bytes when decompressed.")
            }
            Self::UnknownCompression => f.write_str("The batch names an unknown compression type."),
            Self::UnsupportedCompressionType => {
                f.write_str("This version of Produce is not allowed to use ZStandard compression.")
            }
            Self::Undecodable(error) => write!(f, "Failed to decompress record stream: {error}"),
            Self::Count { count, last_offset_delta } => write!(
                f,
                "Inconsistent batch: {count} records with a last offset delta of {last_offset_delta}."
            ),
            Self::TrailingBytes => {
                f.write_str("Incorrect declared batch size, bytes remain after the last record.")
            }
            Self::ControlBatch => f.write_str("Clients are not allowed to write control records."),
            Self::Sequence { producer, sequence } => write!(
                f,
                "Invalid sequence number {sequence} in record batch with producerId {producer}."
            ),
            Self::TransactionalWithoutProducer => {
                f.write_str("A transactional batch needs a producer id.")
            }
            Self::ProducerSetAppendTime => {
                f.write_str("Producer should not set timestamp type to LogAppendTime.")
            }
            Self::InvalidRecord(errors) | Self::InvalidTimestamp(errors) => {
                f.write_str("One or more records have been rejected")?;
                match errors.first() {
                    Some(first) => write!(f, ": {first}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for BatchError {}

impl From<CompressionError> for BatchError {
    fn from(error: CompressionError) -> Self {
        match error {
            CompressionError::Corrupt(error) => Self::Undecodable(error),
            CompressionError::TooLarge { limit } => Self::DecompressedTooLarge { max: limit },
        }
    }
}
