//! The accumulator: batches per partition, and the rules of when which may go out.
//!
//! Filled by `send`, drained by the sender, behind one short lock. Pure: the time comes in, and
//! nothing here waits or speaks to a broker. The order of a partition's records is kept over
//! retries: while a batch is sent again, no other batch of its partition is on the way.
//!
//! It owns where the producer's transaction stands, so that a batch that fails and the commit that it
//! forbids cannot miss each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use kalda_model::TopicPartition;
use kalda_records::{BATCH_OVERHEAD, BatchOptions, sequence_plus};
use tokio::sync::oneshot;

use super::batch::{Acknowledged, Batch, Identity};
use super::transaction::state::{Asked, Transaction};
use super::{Record, RecordMetadata};
use crate::config::ProducerConfig;
use crate::{Error, Result};

/// The settings that the accumulator needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) batch_size: usize,
    pub(super) linger_ms: i64,
    pub(super) buffer_memory: usize,
    pub(super) delivery_timeout_ms: i64,
    pub(super) retries: u32,
    pub(super) options: BatchOptions,
}

impl From<&ProducerConfig> for Limits {
    fn from(config: &ProducerConfig) -> Self {
        let millis = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
        Self {
            batch_size: config.batch_size,
            linger_ms: millis(config.linger_ms),
            buffer_memory: config.buffer_memory,
            delivery_timeout_ms: millis(config.delivery_timeout_ms),
            retries: config.retries,
            options: BatchOptions {
                compression: config.compression,
                level: config.compression_level,
                is_transactional: config.transactional_id.is_some(),
                ..BatchOptions::default()
            },
        }
    }
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Appended {
    /// It is in a batch.
    Taken {
        delivery: oneshot::Receiver<Result<RecordMetadata>>,
        /// The sender has something new to think about.
        should_wake: bool,
    },
    /// The buffer is full; try again when batches are done.
    NoRoom,
}

/// The batches of one partition.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Batch>,
    in_flight: usize,
    next_sequence: i32,
    /// The sequence that the broker must accept next, as far as we know.
    next_acknowledged: i32,
}

/// A batch that goes out now.
#[derive(Debug)]
pub(super) struct Drained {
    pub(super) batch: Batch,
    pub(super) bytes: Bytes,
}

/// The batches of all partitions.
#[derive(Debug)]
pub(super) struct Accumulator {
    limits: Limits,
    queues: BTreeMap<TopicPartition, Queue>,
    used: usize,
    /// Somebody waits for room.
    is_starved: bool,
    flushes: usize,
    is_closed: bool,
    next_number: u64,
    /// The numbers of the batches that are not answered.
    open: BTreeSet<u64>,
    /// Draining goes round, so that a busy partition does not keep others waiting.
    last_drained: Option<TopicPartition>,
    /// Of a transactional producer.
    transaction: Option<Transaction>,
}

impl Accumulator {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            transaction: limits.options.is_transactional.then(Transaction::new),
            queues: BTreeMap::new(),
            used: 0,
            is_starved: false,
            flushes: 0,
            is_closed: false,
            next_number: 0,
            open: BTreeSet::new(),
            last_drained: None,
        }
    }

    /// Where the transactions stand, if there is a transactional id.
    pub(super) fn transaction(&mut self) -> Option<&mut Transaction> {
        self.transaction.as_mut()
    }

    /// Puts a record into the last batch of its partition, or into a new one.
    pub(super) fn append(
        &mut self,
        partition: &TopicPartition,
        record: &Record,
        size: usize,
        timestamp: i64,
        now_ms: i64,
    ) -> Result<Appended> {
        if self.is_closed {
            return Err(Error::Closed);
        }
        self.transaction.as_ref().map_or(Ok(()), Transaction::check_open)?;
        let last = self.queues.get(partition).and_then(|queue| queue.waiting.back());
        let joins = last.is_some_and(|last| last.has_room(size, self.limits.batch_size));
        let needed = size + if joins { 0 } else { BATCH_OVERHEAD };
        if self.used + needed > self.limits.buffer_memory {
            self.is_starved = true;
            return Ok(Appended::NoRoom);
        }
        self.used += needed;
        let queue = self.queues.entry(partition.clone()).or_default();
        if !joins {
            let batch = Batch::new(self.next_number, partition, self.limits.options, now_ms);
            self.open.insert(self.next_number);
            self.next_number += 1;
            queue.waiting.push_back(batch);
        }
        let batch = queue.waiting.back_mut().expect("pushed if there was none");
        let delivery = batch.append(record, size, timestamp);
        let should_wake = !joins || batch.size() >= self.limits.batch_size;
        Ok(Appended::Taken { delivery, should_wake })
    }

    /// The partitions with a batch that may go out now, and when to look again for the others.
    pub(super) fn ready(&self, now_ms: i64) -> (Vec<TopicPartition>, Option<i64>) {
        let mut ready = Vec::new();
        let mut next: Option<i64> = None;
        for (partition, queue) in &self.queues {
            let Some(at) = self.due_ms(queue) else { continue };
            if at <= now_ms {
                ready.push(partition.clone());
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        (ready, next)
    }

    /// When the first batch of a queue may go out; `None` while an answer has to come first.
    fn due_ms(&self, queue: &Queue) -> Option<i64> {
        let first = queue.waiting.front()?;
        if first.attempts > 0 {
            return (queue.in_flight == 0).then_some(first.retry_at_ms);
        }
        let is_full = queue.waiting.len() > 1 || first.size() >= self.limits.batch_size;
        if is_full || self.is_starved || self.flushes > 0 || self.is_closed {
            return Some(first.created_ms);
        }
        Some(first.created_ms.saturating_add(self.limits.linger_ms))
    }

    /// Takes the first batch of each of `partitions`, as many as go into one request.
    pub(super) fn drain(
        &mut self,
        partitions: &[TopicPartition],
        bytes_max: usize,
        identity: Option<Identity>,
    ) -> Vec<Drained> {
        let mut drained = Vec::new();
        let mut bytes = 0;
        for partition in self.in_turn(partitions) {
            let Some(queue) = self.queues.get_mut(&partition) else { continue };
            let Some(first) = queue.waiting.front() else { continue };
            if bytes > 0 && bytes + first.size() > bytes_max {
                break;
            }
            let Some(mut batch) = queue.waiting.pop_front() else { continue };
            if identity.is_some() && batch.base_sequence.is_none() {
                batch.base_sequence = Some(queue.next_sequence);
                queue.next_sequence = sequence_plus(queue.next_sequence, batch.count());
            }
            match batch.seal(identity) {
                Ok(sealed) => {
                    batch.attempts += 1;
                    queue.in_flight += 1;
                    bytes += sealed.len();
                    drained.push(Drained { batch, bytes: sealed });
                    self.last_drained = Some(partition);
                }
                Err(error) => {
                    let why = format!("the batch cannot be compressed: {error}");
                    self.finish(batch, &Err(Error::CorruptRecord(why)));
                }
            }
        }
        drained
    }

    fn in_turn(&self, partitions: &[TopicPartition]) -> Vec<TopicPartition> {
        let mut sorted: BTreeSet<&TopicPartition> = partitions.iter().collect();
        let Some(last) = &self.last_drained else { return sorted.into_iter().cloned().collect() };
        let after: Vec<_> = sorted
            .range::<TopicPartition, _>((Bound::Excluded(last), Bound::Unbounded))
            .copied()
            .collect();
        sorted.retain(|partition| *partition <= last);
        after.into_iter().chain(sorted).cloned().collect()
    }

    /// The broker took a batch.
    pub(super) fn acknowledge(&mut self, batch: Batch, acknowledged: Acknowledged) {
        if let Some(queue) = self.queues.get_mut(&batch.partition) {
            queue.in_flight -= 1;
            if let Some(base) = batch.base_sequence {
                queue.next_acknowledged = sequence_plus(base, batch.count());
            }
        }
        self.finish(batch, &Ok(acknowledged));
    }

    /// The broker refused a batch for good.
    pub(super) fn refuse(&mut self, batch: Batch, error: Error) {
        if let Some(queue) = self.queues.get_mut(&batch.partition) {
            queue.in_flight -= 1;
        }
        self.finish(batch, &Err(error));
    }

    /// Whether a batch that failed may be sent again.
    pub(super) fn may_retry(&self, batch: &Batch, now_ms: i64) -> bool {
        self.transaction.as_ref().is_none_or(Transaction::may_send)
            && batch.attempts <= self.limits.retries
            && now_ms - batch.created_ms < self.limits.delivery_timeout_ms
    }

    /// Whether the broker refused the sequence of a batch only because one before it is missing.
    pub(super) fn is_behind_another(&self, batch: &Batch) -> bool {
        let queue = self.queues.get(&batch.partition);
        let expected = queue.map(|queue| queue.next_acknowledged);
        batch.base_sequence.is_some() && batch.base_sequence != expected
    }

    /// Puts a batch back where it was, in front of everything that was created after it.
    pub(super) fn put_back(&mut self, mut batch: Batch, retry_at_ms: i64) {
        batch.retry_at_ms = retry_at_ms;
        let Some(queue) = self.queues.get_mut(&batch.partition) else { return };
        queue.in_flight -= 1;
        let at = queue.waiting.partition_point(|other| other.number < batch.number);
        queue.waiting.insert(at, batch);
    }

    /// Fails the batches that have waited for too long. Returns whether one of them may have reached
    /// the broker, so that the sequence after it is not known.
    pub(super) fn expire(&mut self, now_ms: i64) -> bool {
        let timeout = self.limits.delivery_timeout_ms;
        let mut expired = Vec::new();
        for queue in self.queues.values_mut() {
            let is_late = |batch: &Batch| now_ms - batch.created_ms >= timeout;
            while queue.waiting.front().is_some_and(is_late) {
                expired.extend(queue.waiting.pop_front());
            }
        }
        let is_in_doubt = expired.iter().any(|batch| batch.base_sequence.is_some());
        for batch in expired {
            let error = Error::Timeout(format!(
                "Expiring {} record(s) for {}:{} ms has passed since batch creation",
                batch.count(),
                batch.partition,
                now_ms - batch.created_ms
            ));
            self.finish(batch, &Err(error));
        }
        is_in_doubt
    }

    /// When the oldest waiting batch expires.
    pub(super) fn next_expiry_ms(&self) -> Option<i64> {
        let fronts = self.queues.values().filter_map(|queue| queue.waiting.front());
        let timeout = self.limits.delivery_timeout_ms;
        fronts.map(|batch| batch.created_ms.saturating_add(timeout)).min()
    }

    /// Starts all sequences anew: the producer has a new identity and nothing is in flight.
    pub(super) fn reset_sequences(&mut self) {
        for queue in self.queues.values_mut() {
            assert_eq!(queue.in_flight, 0, "an identity is only changed when nothing is in flight");
            queue.next_sequence = 0;
            queue.next_acknowledged = 0;
            queue.waiting.iter_mut().for_each(Batch::unseal);
        }
    }

    fn finish(&mut self, batch: Batch, outcome: &Result<Acknowledged>) {
        if let (Some(transaction), Err(error)) = (&mut self.transaction, outcome) {
            transaction.on_batch_lost(batch.base_sequence.is_some());
            transaction.on_error(Asked::Leader, error);
        }
        self.answer(batch, outcome);
    }

    fn answer(&mut self, batch: Batch, outcome: &Result<Acknowledged>) {
        self.used -= batch.reserved;
        self.is_starved = false;
        self.open.remove(&batch.number);
        batch.answer(outcome);
    }

    /// Fails everything that waits: the producer, or its transaction, cannot go on.
    pub(super) fn fail_all(&mut self, error: &Error) {
        let waiting: Vec<Batch> =
            self.queues.values_mut().flat_map(|queue| queue.waiting.drain(..)).collect();
        for batch in waiting {
            if let Some(transaction) = &mut self.transaction {
                transaction.on_batch_lost(batch.base_sequence.is_some());
            }
            self.answer(batch, &Err(error.clone()));
        }
    }

    /// Fails everything that waits if the transaction has failed.
    pub(super) fn drop_if_failed(&mut self) {
        if let Some(error) = self.transaction.as_ref().and_then(Transaction::failure).cloned() {
            self.fail_all(&error);
        }
    }

    /// The topics that have batches waiting.
    pub(super) fn topics(&self) -> BTreeSet<String> {
        let waiting = self.queues.iter().filter(|(_, queue)| !queue.waiting.is_empty());
        waiting.map(|(partition, _)| partition.topic.to_string()).collect()
    }

    pub(super) fn begin_flush(&mut self) -> u64 {
        self.flushes += 1;
        self.next_number
    }

    pub(super) fn end_flush(&mut self) {
        self.flushes -= 1;
    }

    /// Whether every batch below that number is answered.
    pub(super) fn is_done_up_to(&self, number: u64) -> bool {
        self.open.first().is_none_or(|first| *first >= number)
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether nothing more will come and nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.is_closed && self.open.is_empty()
    }
}

#[cfg(test)]
mod tests;
