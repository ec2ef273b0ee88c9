//! What the log remembers of its producers: the last five batches of each, for duplicates and gaps
//! (KIP-98), and the transactions that are open or ended above the high watermark.
//!
//! The rules are those of Kafka's `ProducerStateManager` and `ProducerAppendInfo`. Changed only by
//! appending: [`Producers::check`] decides, [`Producers::on_batch`] and [`Producers::on_marker`]
//! record what was written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kalda_model::{Offset, ProducerEpoch, ProducerId};
use kalda_records::{BatchHeader, EndTxnMarker, NO_SEQUENCE, NO_TIMESTAMP, sequence_plus};

use crate::error::AppendError;

pub mod snapshot;

/// How many batches per producer are remembered: what an idempotent client may have in flight.
pub const BATCHES_MAX: usize = 5;

/// One remembered batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RememberedBatch {
    /// The sequence of its last record.
    pub last_sequence: i32,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// Its last offset minus its first.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: i64,
}

impl RememberedBatch {
    /// What is remembered of a batch with this header.
    pub(crate) fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: sequence_plus(header.base_sequence, header.last_offset_delta),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    /// The offset of its first record.
    #[must_use]
    pub fn first_offset(&self) -> Offset {
        Offset(self.last_offset.0 - i64::from(self.offset_delta))
    }

    /// The sequence of its first record.
    #[must_use]
    pub fn first_sequence(&self) -> i32 {
        match self.last_sequence - self.offset_delta {
            wrapped if wrapped < 0 => i32::MAX - (self.offset_delta - self.last_sequence) + 1,
            first => first,
        }
    }
}

/// One producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerEntry {
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Its last batches under that epoch, oldest first.
    pub batches: VecDeque<RememberedBatch>,
    /// The epoch of the coordinator that wrote its last marker; -1 if none.
    pub coordinator_epoch: i32,
    /// The timestamp of the last batch or marker.
    pub last_timestamp: i64,
    /// Where its open transaction begins.
    pub current_txn_first_offset: Option<Offset>,
}

impl Default for ProducerEntry {
    /// A producer of which nothing is known.
    fn default() -> Self {
        Self {
            epoch: ProducerEpoch::NONE,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            last_timestamp: NO_TIMESTAMP,
            current_txn_first_offset: None,
        }
    }
}

impl ProducerEntry {
    /// The sequence of the last record, [`NO_SEQUENCE`] if it has written none under this epoch.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }
}

/// What an idempotent batch is to the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is new and may be appended.
    New,
    /// It was appended before.
    Duplicate(RememberedBatch),
}

/// What a batch says of its producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the first record.
    pub base_sequence: i32,
    /// The sequence of the last record.
    pub last_sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
}

/// A transaction that a marker ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompletedTxn {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first offset.
    pub first_offset: Offset,
    /// The offset of the marker.
    pub last_offset: Offset,
    /// Whether it was aborted.
    pub is_aborted: bool,
}

/// All producers of one partition.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Producers {
    /// Boxed: a tree node has room for eleven, most partitions have none or one.
    entries: BTreeMap<i64, Box<ProducerEntry>>,
    /// Open transactions: first offset → producer.
    ongoing: BTreeMap<i64, i64>,
    /// Transactions whose marker the high watermark has not passed: first offset → marker's offset.
    unreplicated: BTreeMap<i64, i64>,
    /// Producers that a snapshot told of: it has only the last batch of each.
    half_known: BTreeSet<i64>,
}

impl Producers {
    /// The producers, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (ProducerId(*id), &**entry))
    }

    /// One producer.
    #[must_use]
    pub fn entry(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&id.0).map(|entry| &**entry)
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Decides on a batch of a client.
    ///
    /// # Errors
    /// A fenced epoch, a gap in the sequence, or a plain batch inside a transaction.
    pub fn check(&self, claim: &Claim) -> Result<Admission, AppendError> {
        let Some(entry) = self.entries.get(&claim.producer_id.0) else {
            return Ok(Admission::New);
        };
        let producer_id = claim.producer_id;
        if claim.epoch < entry.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id,
                epoch: claim.epoch,
                current: entry.epoch,
            });
        }
        if claim.epoch == entry.epoch {
            let same = |batch: &&RememberedBatch| {
                batch.last_sequence == claim.last_sequence
                    && batch.first_sequence() == claim.base_sequence
            };
            if let Some(batch) = entry.batches.iter().find(same) {
                return Ok(Admission::Duplicate(*batch));
            }
        }
        let last_sequence =
            if claim.epoch == entry.epoch { entry.last_sequence() } else { NO_SEQUENCE };
        // An entry without an epoch has lost its records to retention: any sequence will do.
        // A coordinator writes for a producer without one: it has its own order.
        let fits = entry.epoch == ProducerEpoch::NONE
            || claim.base_sequence == NO_SEQUENCE
            || claim.base_sequence == next_sequence(last_sequence);
        if !fits {
            return Err(AppendError::OutOfOrderSequence {
                producer_id,
                sequence: claim.base_sequence,
                last_sequence,
            });
        }
        if entry.current_txn_first_offset.is_some() && !claim.is_transactional {
            return Err(AppendError::InvalidTxnState { producer_id });
        }
        Ok(Admission::New)
    }

    /// Notes that everything known comes from a snapshot.
    pub(crate) fn on_snapshot_loaded(&mut self) {
        self.half_known = self.entries.keys().copied().collect();
    }

    /// The producer's entry if there is more in the log than is remembered of it; asked once.
    pub(crate) fn take_half_known(&mut self, id: ProducerId) -> Option<&mut ProducerEntry> {
        let is_half_known = self.half_known.remove(&id.0);
        self.entries.get_mut(&id.0).filter(|_| is_half_known).map(|entry| &mut **entry)
    }

    /// Decides on a marker of a transaction coordinator.
    ///
    /// # Errors
    /// A fenced producer epoch, or a fenced coordinator.
    pub fn check_marker(
        &self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        marker: EndTxnMarker,
    ) -> Result<(), AppendError> {
        let Some(entry) = self.entries.get(&producer_id.0) else { return Ok(()) };
        if epoch < entry.epoch {
            let current = entry.epoch;
            return Err(AppendError::InvalidProducerEpoch { producer_id, epoch, current });
        }
        if marker.coordinator_epoch < entry.coordinator_epoch {
            return Err(AppendError::TransactionCoordinatorFenced {
                producer_id,
                epoch: marker.coordinator_epoch,
                current: entry.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Decides on a marker of a coordinator under which every marker of a producer has an epoch of its
    /// own (KIP-890, KIP-1228). Answers whether it is still to be written: one that comes again is
    /// done, unless the producer has begun its next transaction under that epoch, which a late marker
    /// must not end.
    ///
    /// # Errors
    /// As [`Producers::check_marker`].
    pub fn check_marker_of_its_own_epoch(
        &self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        marker: EndTxnMarker,
    ) -> Result<bool, AppendError> {
        self.check_marker(producer_id, epoch, marker)?;
        let Some(entry) = self.entries.get(&producer_id.0) else { return Ok(true) };
        if epoch > entry.epoch {
            return Ok(true);
        }
        if entry.current_txn_first_offset.is_some() {
            let current = entry.epoch;
            return Err(AppendError::InvalidProducerEpoch { producer_id, epoch, current });
        }
        Ok(false)
    }

    /// Remembers a batch of records that was appended.
    pub fn on_batch(&mut self, header: &BatchHeader) {
        let id = header.producer_id.0;
        if id < 0 || header.is_control() {
            return;
        }
        let entry = self.entries.entry(id).or_default();
        entry.enter_epoch(header.producer_epoch);
        if entry.batches.len() == BATCHES_MAX {
            entry.batches.pop_front();
        }
        if header.base_sequence != NO_SEQUENCE {
            entry.batches.push_back(RememberedBatch::of(header));
        }
        entry.last_timestamp = header.max_timestamp;
        if header.is_transactional() && entry.current_txn_first_offset.is_none() {
            entry.current_txn_first_offset = Some(header.base_offset);
            self.ongoing.insert(header.base_offset.0, id);
        }
    }

    /// Remembers a marker that was appended; answers the transaction that it ended, if one was open.
    pub fn on_marker(
        &mut self,
        header: &BatchHeader,
        marker: EndTxnMarker,
    ) -> Option<CompletedTxn> {
        let id = header.producer_id.0;
        let entry = self.entries.entry(id).or_default();
        entry.enter_epoch(header.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = header.max_timestamp;
        let first = entry.current_txn_first_offset.take()?;
        self.ongoing.remove(&first.0);
        self.unreplicated.insert(first.0, header.base_offset.0);
        Some(CompletedTxn {
            producer_id: header.producer_id,
            first_offset: first,
            last_offset: header.base_offset,
            is_aborted: !marker.committed,
        })
    }

    /// Up to where every transaction is decided, `log_end` if none is open: what a completed
    /// transaction's index entry records.
    #[must_use]
    pub fn first_ongoing_offset(&self) -> Option<Offset> {
        self.ongoing.keys().next().map(|offset| Offset(*offset))
    }

    /// The first offset of a transaction that is open, or whose marker is at or above the high
    /// watermark.
    #[must_use]
    pub fn first_unstable_offset(&self, high_watermark: Offset) -> Option<Offset> {
        let mut waiting = self.unreplicated.iter();
        let waiting = waiting.find(|(_, marker)| **marker >= high_watermark.0);
        let waiting = waiting.map(|(first, _)| Offset(*first));
        self.first_ongoing_offset().into_iter().chain(waiting).min()
    }

    /// The high watermark moved: markers below it are settled.
    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, marker| *marker >= high_watermark.0);
        }
    }

    /// Forgets producers that have not written for `expiration_ms` and have no open transaction.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.entries.retain(|_, entry| {
            entry.current_txn_first_offset.is_some()
                || now_ms.saturating_sub(entry.last_timestamp) < expiration_ms
        });
    }

    /// The log was cut at its front: transactions that lay before it wholly are settled.
    pub fn on_log_start(&mut self, log_start: Offset) {
        self.unreplicated.retain(|_, marker| *marker >= log_start.0);
    }

    /// Puts an entry back that a snapshot held.
    pub(crate) fn restore(&mut self, id: ProducerId, entry: ProducerEntry) {
        if let Some(first) = entry.current_txn_first_offset {
            self.ongoing.insert(first.0, id.0);
        }
        self.entries.insert(id.0, Box::new(entry));
    }
}

fn next_sequence(last: i32) -> i32 {
    last.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests;
