//! Transactions at a partition: who may begin one here, and the markers that end them.
//!
//! A transactional batch is taken only if the producer's transaction is open here already, or if the
//! coordinator has said that the partition belongs to it: or else a late batch would begin a transaction
//! that nobody ends (KIP-890). A guard is made before the coordinator is asked, and the marker that ends
//! the transaction voids it, so that what was said of one transaction lets no batch into the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use kalda_model::{Offset, ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_records::{BatchBuilder, BatchFacts, BatchOptions, EndTxnMarker, NO_SEQUENCE, Producer};
use kalda_replication::Acks;
use kalda_storage::{AppendError, Appended};

use super::append::{AppendRefused, Appending};
use super::condition::AppendCondition;
use super::waits::{ProduceWait, ProduceWaits};
use super::{HostedPartition, State, refused};

/// Lets a producer's batch begin its transaction at the partition, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct VerificationGuard {
    number: u64,
    /// Whether the producer has a new epoch for every transaction: then its first sequence is 0.
    bumps_epoch: bool,
}

/// The guards of one partition.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    made: u64,
    by_producer: BTreeMap<ProducerId, (ProducerEpoch, VerificationGuard)>,
}

impl Verifications {
    fn begin(
        &mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        bumps_epoch: bool,
    ) -> VerificationGuard {
        if let Some((known, guard)) = self.by_producer.get(&id)
            && *known == epoch
        {
            return *guard;
        }
        self.made += 1;
        let guard = VerificationGuard { number: self.made, bumps_epoch };
        self.by_producer.insert(id, (epoch, guard));
        guard
    }

    /// The producer's transaction has begun here, or was not verified.
    pub(super) fn end(&mut self, id: ProducerId) {
        self.by_producer.remove(&id);
    }

    /// A marker has come. One with an epoch of its own ends the transactions before that epoch; the
    /// producer may be about to begin the next one under it already.
    fn on_marker(&mut self, marker: &MarkerToAppend) {
        let is_voided = |epoch: ProducerEpoch| {
            epoch < marker.producer_epoch
                || epoch == marker.producer_epoch && marker.transaction_version < 2
        };
        if self.by_producer.get(&marker.producer_id).is_some_and(|(epoch, _)| is_voided(*epoch)) {
            self.by_producer.remove(&marker.producer_id);
        }
    }

    fn is_held(&self, id: ProducerId, epoch: ProducerEpoch, guard: VerificationGuard) -> bool {
        self.by_producer.get(&id) == Some(&(epoch, guard))
    }
}

/// The end of a producer's transaction, for one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarkerToAppend {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) marker: EndTxnMarker,
    /// The `transaction.version` that its coordinator ended the transaction under.
    pub(crate) transaction_version: i16,
    pub(crate) now_ms: i64,
}

impl HostedPartition {
    /// A guard under which the coordinator is to be asked; `None` if the transaction is open here, or
    /// the producer is fenced anyhow.
    pub(crate) fn begin_verification(
        &self,
        id: ProducerId,
        epoch: ProducerEpoch,
        bumps_epoch: bool,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        let mut state = self.serving()?;
        if state.needs_no_guard(id, epoch) {
            return Ok(None);
        }
        Ok(Some(state.verifications.begin(id, epoch, bumps_epoch)))
    }

    /// The coordinator said no.
    pub(crate) fn end_verification(&self, id: ProducerId) {
        if let Ok(mut state) = self.serving() {
            state.verifications.end(id);
        }
    }

    /// Appends a marker, and makes a request wait until it is committed. Answers its offset; `None`
    /// when it has been written before. A coordinator's own partition has a `condition`.
    pub(crate) fn append_marker(
        self: &Arc<Self>,
        condition: Option<AppendCondition>,
        marker: &MarkerToAppend,
        waits: &ProduceWaits,
        slot: usize,
    ) -> Result<Option<Offset>, ErrorCode> {
        let mut state = self.serving()?;
        state.check_condition(condition)?;
        state.partition.check_append(Acks::All).map_err(refused)?;
        state.verifications.on_marker(marker);
        let is_new = state.check_marker(marker).map_err(|error| self.append_failed(error).error)?;
        if !is_new {
            let end = state.log.log_end_offset();
            if !state.partition.is_acknowledged(end, Acks::All) {
                let wait = ProduceWait::new(end, Acks::All, waits, slot);
                state.produce_waits.push(wait);
            }
            return Ok(None);
        }
        let (appended, size) =
            state.append_control(marker).map_err(|error| self.append_failed(error).error)?;
        let appending = Appending {
            acks: Acks::All,
            now_ms: marker.now_ms,
            is_zstd_allowed: true,
            waits,
            slot,
            guard: None,
        };
        let next = self.on_appended(&mut state, &appending, &appended, size);
        drop(state);
        self.see_to_disk(next);
        Ok(Some(appended.base_offset))
    }
}

impl State {
    fn needs_no_guard(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.log.producers().entry(id).is_some_and(|entry| {
            epoch < entry.epoch || epoch == entry.epoch && entry.current_txn_first_offset.is_some()
        })
    }

    /// Whether a batch may go in that begins a transaction here.
    pub(super) fn check_verified(
        &self,
        batch: &BatchFacts,
        guard: Option<VerificationGuard>,
    ) -> Result<(), AppendRefused> {
        let (id, epoch) = (batch.producer_id, batch.producer_epoch);
        if !batch.is_transactional || self.needs_no_guard(id, epoch) {
            return Ok(());
        }
        let guard = guard.filter(|guard| self.verifications.is_held(id, epoch, *guard));
        let Some(guard) = guard else {
            let text = "The partition was not verified to be part of the transaction, or the transaction has ended meanwhile.";
            return Err(AppendRefused {
                error: ErrorCode::InvalidTxnState,
                message: Some(text.to_owned()),
                records: Vec::new(),
            });
        };
        let is_known = self.log.producers().entry(id).is_some();
        if guard.bumps_epoch && !is_known && !matches!(batch.base_sequence, 0 | NO_SEQUENCE) {
            let text = format!(
                "The first batch of producer {id} under epoch {epoch} has sequence {} instead of 0.",
                batch.base_sequence
            );
            return Err(AppendRefused {
                error: ErrorCode::OutOfOrderSequenceNumber,
                message: Some(text),
                records: Vec::new(),
            });
        }
        Ok(())
    }

    fn check_marker(&self, marker: &MarkerToAppend) -> Result<bool, AppendError> {
        let producers = self.log.producers();
        let (id, epoch) = (marker.producer_id, marker.producer_epoch);
        if marker.transaction_version >= 2 {
            return producers.check_marker_of_its_own_epoch(id, epoch, marker.marker);
        }
        producers.check_marker(id, epoch, marker.marker).map(|()| true)
    }

    fn append_control(
        &mut self,
        marker: &MarkerToAppend,
    ) -> Result<(Appended, usize), AppendError> {
        let producer = Producer {
            id: marker.producer_id,
            epoch: marker.producer_epoch,
            base_sequence: NO_SEQUENCE,
        };
        let options = BatchOptions {
            producer,
            is_transactional: true,
            is_control: true,
            ..BatchOptions::default()
        };
        let mut batch = BatchBuilder::new(options);
        let (key, value) = (marker.marker.key(), marker.marker.value());
        batch.append(marker.now_ms, Some(&key), Some(&value), &[]);
        let bytes = batch.build().expect("one small record makes a batch");
        let size = bytes.len();
        let epoch = self.partition.leader_epoch();
        let appended = self.log.append_control(bytes, epoch, marker.now_ms)?;
        Ok((appended, size))
    }
}
