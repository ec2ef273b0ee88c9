//! Builds v2 batches: for the client's accumulator, the coordinators, raft and compaction.
//!
//! Records are encoded as they come, uncompressed; the payload is compressed once, at the end.

use std::io;

use bytes::Bytes;
use kalda_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::compression::{Compression, compress};
use crate::crc32c;
use crate::header::{
    ATTRIBUTES_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, BATCH_OVERHEAD, CONTROL_BIT, COUNT_AT,
    CRC_AT, DELETE_HORIZON_BIT, LAST_OFFSET_DELTA_AT, LENGTH_AT, LOG_APPEND_TIME_BIT, LOG_OVERHEAD,
    MAGIC_AT, MAGIC_V2, MAX_TIMESTAMP_AT, NO_SEQUENCE, NO_TIMESTAMP, PRODUCER_EPOCH_AT,
    PRODUCER_ID_AT, TRANSACTIONAL_BIT, stamp,
};
use crate::record::RecordView;
use crate::varint;

/// The identity of an idempotent producer and the sequence of a batch's first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the first record; markers carry [`NO_SEQUENCE`].
    pub base_sequence: i32,
}

impl Producer {
    /// A producer that is not idempotent.
    pub const NONE: Self =
        Self { id: ProducerId::NONE, epoch: ProducerEpoch::NONE, base_sequence: NO_SEQUENCE };
}

/// How a batch is to be built.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchOptions {
    /// The codec of the payload.
    pub compression: Compression,
    /// Its level; `None` is the codec's default.
    pub level: Option<i32>,
    /// Who produces.
    pub producer: Producer,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
    /// Whether it holds control records.
    pub is_control: bool,
    /// The offset of its first record; the broker stamps another one.
    pub base_offset: Offset,
    /// The leader epoch; the broker stamps another one.
    pub leader_epoch: LeaderEpoch,
    /// If set, the append time that holds for every record instead of its own timestamp.
    pub append_time: Option<i64>,
    /// If set, when compaction may drop what is in it (KIP-534); it takes the base timestamp's place.
    pub delete_horizon_ms: Option<i64>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            compression: Compression::None,
            level: None,
            producer: Producer::NONE,
            is_transactional: false,
            is_control: false,
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::UNKNOWN,
            append_time: None,
            delete_horizon_ms: None,
        }
    }
}

/// A header of a record to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewHeader<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value; `None` is null.
    pub value: Option<&'a [u8]>,
}

/// A batch in the making.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// The records so far, encoded, with [`BATCH_OVERHEAD`] bytes of room for the header in front.
    bytes: Vec<u8>,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    last_offset_delta: i32,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        Self {
            options,
            bytes: vec![0; BATCH_OVERHEAD],
            base_timestamp: options.delete_horizon_ms.unwrap_or(NO_TIMESTAMP),
            max_timestamp: NO_TIMESTAMP,
            count: 0,
            last_offset_delta: -1,
        }
    }

    /// Adds a record at the next offset.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[NewHeader<'_>],
    ) {
        self.append_at(self.last_offset_delta + 1, timestamp, key, value, headers);
    }

    /// Adds a record at an offset of its own: for compaction, which leaves gaps.
    ///
    /// # Panics
    /// When the offset does not grow: a caller's bug.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[NewHeader<'_>],
    ) {
        let timestamp_delta = self.place(offset_delta, timestamp);
        let len = body_len(timestamp_delta, offset_delta, key, value, headers);
        varint::put_i32(&mut self.bytes, len as i32);
        self.bytes.push(0);
        varint::put_i64(&mut self.bytes, timestamp_delta);
        varint::put_i32(&mut self.bytes, offset_delta);
        put_nullable(&mut self.bytes, key);
        put_nullable(&mut self.bytes, value);
        varint::put_i32(&mut self.bytes, headers.len() as i32);
        for header in headers {
            put_nullable(&mut self.bytes, Some(header.key.as_bytes()));
            put_nullable(&mut self.bytes, header.value);
        }
    }

    /// Adds a record of another batch at its own offset, headers and all, whatever bytes they are:
    /// for compaction.
    ///
    /// # Panics
    /// When its offset does not grow, or lies too far from the base offset: a caller's bug.
    pub fn append_record(&mut self, record: &RecordView<'_>) {
        let delta = record.offset.0 - self.options.base_offset.0;
        let offset_delta = i32::try_from(delta).expect("a record lies within its batch");
        let timestamp_delta = self.place(offset_delta, record.timestamp);
        let (header_count, headers) = record.encoded_headers();
        // The count of no headers takes one byte, which `body_len` has counted.
        let len = body_len(timestamp_delta, offset_delta, record.key, record.value, &[]) - 1
            + varint::len_i32(header_count)
            + headers.len();
        varint::put_i32(&mut self.bytes, len as i32);
        self.bytes.push(0);
        varint::put_i64(&mut self.bytes, timestamp_delta);
        varint::put_i32(&mut self.bytes, offset_delta);
        put_nullable(&mut self.bytes, record.key);
        put_nullable(&mut self.bytes, record.value);
        varint::put_i32(&mut self.bytes, header_count);
        self.bytes.extend_from_slice(headers);
    }

    /// Takes note of a record that is about to be written; answers its timestamp delta.
    fn place(&mut self, offset_delta: i32, timestamp: i64) -> i64 {
        assert!(offset_delta > self.last_offset_delta, "offsets grow within a batch");
        if self.count == 0 && self.options.delete_horizon_ms.is_none() {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset_delta = offset_delta;
        self.count += 1;
        timestamp.wrapping_sub(self.base_timestamp)
    }

    /// The producer's identity and sequence, known only when the batch is drained.
    pub fn set_producer(&mut self, producer: Producer) {
        self.options.producer = producer;
    }

    /// Lets the batch end at an offset after its last record, or have no record at all: for
    /// compaction, which keeps the span of offsets and the sequence that was there.
    pub fn set_last_offset_delta(&mut self, delta: i32) {
        self.last_offset_delta = self.last_offset_delta.max(delta);
    }

    /// How many records it has.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// The bytes of the batch if it were not compressed: an upper bound in practice.
    #[must_use]
    pub fn size_uncompressed(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that the batch will take if compression reaches `ratio` (1.0: none).
    #[must_use]
    pub fn size_estimate(&self, ratio: f32) -> usize {
        let payload = self.bytes.len() - BATCH_OVERHEAD;
        match self.options.compression {
            Compression::None => self.bytes.len(),
            _ => BATCH_OVERHEAD + (payload as f32 * ratio) as usize,
        }
    }

    /// The most bytes that such a record can add.
    #[must_use]
    pub fn record_size_max(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[NewHeader<'_>],
    ) -> usize {
        5 + body_len(i64::MIN, i32::MAX, key, value, headers)
    }

    /// Finishes the batch.
    ///
    /// # Errors
    /// The codec refused.
    pub fn build(mut self) -> io::Result<Bytes> {
        let bytes = match self.options.compression {
            Compression::None => std::mem::take(&mut self.bytes),
            codec => {
                let mut bytes = vec![0; BATCH_OVERHEAD];
                bytes.reserve(self.bytes.len() / 2);
                compress(codec, self.options.level, &self.bytes[BATCH_OVERHEAD..], &mut bytes)?;
                bytes
            }
        };
        Ok(self.seal(bytes))
    }

    fn seal(&self, mut bytes: Vec<u8>) -> Bytes {
        let options = &self.options;
        let mut attributes = i16::from(options.compression.id());
        for (bit, is_set) in [
            (LOG_APPEND_TIME_BIT, options.append_time.is_some()),
            (TRANSACTIONAL_BIT, options.is_transactional),
            (CONTROL_BIT, options.is_control),
            (DELETE_HORIZON_BIT, options.delete_horizon_ms.is_some()),
        ] {
            attributes |= if is_set { bit } else { 0 };
        }
        let len = (bytes.len() - LOG_OVERHEAD) as i32;
        let max_timestamp = options.append_time.unwrap_or(self.max_timestamp);
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(LENGTH_AT, &len.to_be_bytes());
        put(MAGIC_AT, &MAGIC_V2.to_be_bytes());
        put(ATTRIBUTES_AT, &attributes.to_be_bytes());
        put(LAST_OFFSET_DELTA_AT, &self.last_offset_delta.max(0).to_be_bytes());
        put(BASE_TIMESTAMP_AT, &self.base_timestamp.to_be_bytes());
        put(MAX_TIMESTAMP_AT, &max_timestamp.to_be_bytes());
        put(PRODUCER_ID_AT, &options.producer.id.0.to_be_bytes());
        put(PRODUCER_EPOCH_AT, &options.producer.epoch.0.to_be_bytes());
        put(BASE_SEQUENCE_AT, &options.producer.base_sequence.to_be_bytes());
        put(COUNT_AT, &self.count.to_be_bytes());
        stamp(&mut bytes, options.base_offset, options.leader_epoch);
        let crc = crc32c(&bytes[ATTRIBUTES_AT..]);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        Bytes::from(bytes)
    }
}

fn body_len(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[NewHeader<'_>],
) -> usize {
    let of_headers: usize = headers
        .iter()
        .map(|header| nullable_len(Some(header.key.as_bytes())) + nullable_len(header.value))
        .sum();
    1 + varint::len_i64(timestamp_delta)
        + varint::len_i32(offset_delta)
        + nullable_len(key)
        + nullable_len(value)
        + varint::len_i32(headers.len() as i32)
        + of_headers
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::len_i32(bytes.len() as i32) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put_i32(out, -1),
        Some(bytes) => {
            varint::put_i32(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}
