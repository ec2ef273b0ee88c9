//! One batch of the producer on its way: records, those who wait for it, its sequence, its attempts.
//!
//! Owned by the accumulator, lent to the sender while it is in flight. It is answered exactly once.

use std::io;

use bytes::Bytes;
use kalda_model::{ProducerEpoch, ProducerId, TopicPartition};
use kalda_records::{BATCH_OVERHEAD, BatchBuilder, BatchOptions};
use tokio::sync::oneshot;

use super::{Record, RecordMetadata};
use crate::Result;

/// The identity that an idempotent producer was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

/// What the broker said of a batch that it took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Acknowledged {
    /// The offset of the first record, if the broker told.
    pub(super) base_offset: Option<i64>,
    /// The append time, if that is the topic's timestamp type.
    pub(super) append_time: Option<i64>,
}

/// A batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// Grows with every batch of the producer.
    pub(super) number: u64,
    pub(super) partition: TopicPartition,
    /// When its first record came, on the monotonic clock.
    pub(super) created_ms: i64,
    /// How often it has been sent.
    pub(super) attempts: u32,
    /// Not to be sent again before this moment.
    pub(super) retry_at_ms: i64,
    /// The sequence of its first record, once it has been sent by an idempotent producer.
    pub(super) base_sequence: Option<i32>,
    /// The buffer memory that it holds.
    pub(super) reserved: usize,
    builder: BatchBuilder,
    /// The bytes to be sent, once it has been sent.
    sealed: Option<Bytes>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    timestamp: i64,
    reply: oneshot::Sender<Result<RecordMetadata>>,
}

impl Batch {
    pub(super) fn new(
        number: u64,
        partition: &TopicPartition,
        options: BatchOptions,
        now_ms: i64,
    ) -> Self {
        Self {
            number,
            partition: partition.clone(),
            created_ms: now_ms,
            attempts: 0,
            retry_at_ms: now_ms,
            base_sequence: None,
            reserved: BATCH_OVERHEAD,
            builder: BatchBuilder::new(options),
            sealed: None,
            waiting: Vec::new(),
        }
    }

    /// Whether one more record of that size goes in. Sizes count uncompressed, so that a batch never
    /// turns out larger than allowed.
    pub(super) fn has_room(&self, size: usize, batch_size: usize) -> bool {
        self.attempts == 0 && self.builder.size_uncompressed() + size <= batch_size
    }

    /// The bytes so far, uncompressed.
    pub(super) fn size(&self) -> usize {
        self.sealed.as_ref().map_or_else(|| self.builder.size_uncompressed(), Bytes::len)
    }

    /// How many records it has.
    pub(super) fn count(&self) -> i32 {
        self.builder.count()
    }

    pub(super) fn append(
        &mut self,
        record: &Record,
        size: usize,
        timestamp: i64,
    ) -> oneshot::Receiver<Result<RecordMetadata>> {
        let headers = record.new_headers();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        self.builder.append(timestamp, key, value, &headers);
        self.reserved += size;
        let (reply, delivery) = oneshot::channel();
        self.waiting.push(Waiting { timestamp, reply });
        delivery
    }

    /// The bytes to send. They stay the same over all attempts, so that the broker can tell a
    /// duplicate.
    pub(super) fn seal(&mut self, identity: Option<Identity>) -> io::Result<Bytes> {
        if let Some(sealed) = &self.sealed {
            return Ok(sealed.clone());
        }
        let mut builder = self.builder.clone();
        if let (Some(identity), Some(base_sequence)) = (identity, self.base_sequence) {
            let Identity { id, epoch } = identity;
            builder.set_producer(kalda_records::Producer { id, epoch, base_sequence });
        }
        let sealed = builder.build()?;
        self.sealed = Some(sealed.clone());
        Ok(sealed)
    }

    /// Forgets identity and sequence: the producer has a new identity.
    pub(super) fn unseal(&mut self) {
        self.sealed = None;
        self.base_sequence = None;
    }

    /// Tells everybody.
    pub(super) fn answer(self, outcome: &Result<Acknowledged>) {
        for (index, waiting) in self.waiting.into_iter().enumerate() {
            let answer = outcome.clone().map(|acknowledged| RecordMetadata {
                partition: self.partition.clone(),
                offset: acknowledged.base_offset.map(|base| base + index as i64),
                timestamp: acknowledged.append_time.unwrap_or(waiting.timestamp),
            });
            // Who is not interested has dropped the delivery.
            let _ = waiting.reply.send(answer);
        }
    }
}
