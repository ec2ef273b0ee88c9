//! Appending for a producer: validate, check, write, and say when it is acknowledged.

use std::sync::Arc;

use kalda_protocol::ErrorCode;
use kalda_records::{BatchError, BatchRules, RecordError, ValidBatch};
use kalda_replication::{Acks, Durability, Effects};
use kalda_storage::{AppendError, Appended};

use super::condition::AppendCondition;
use super::transactions::VerificationGuard;
use super::waits::{ProduceWait, ProduceWaits};
use super::{HostedPartition, State, refused, watch};

/// One append of a Produce request.
pub(crate) struct Appending<'a> {
    pub(crate) acks: Acks,
    pub(crate) now_ms: i64,
    /// Whether the request's version may carry zstd.
    pub(crate) is_zstd_allowed: bool,
    /// The request that may have to wait, and the number that it knows this partition by.
    pub(crate) waits: &'a ProduceWaits,
    pub(crate) slot: usize,
    /// What a coordinator has said of the transaction that the batch belongs to.
    pub(crate) guard: Option<VerificationGuard>,
}

/// Why nothing was appended: the code, a text, and the records at fault.
#[derive(Clone, Debug)]
pub(crate) struct AppendRefused {
    pub(crate) error: ErrorCode,
    pub(crate) message: Option<String>,
    pub(crate) records: Vec<RecordError>,
}

impl From<ErrorCode> for AppendRefused {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None, records: Vec::new() }
    }
}

impl HostedPartition {
    /// Appends one batch. If the answer must wait, the request has been made to wait.
    pub(crate) fn append(
        self: &Arc<Self>,
        records: &[u8],
        append: &Appending<'_>,
    ) -> Result<Appended, AppendRefused> {
        // Validation may decompress: it runs without the lock, under the rules that hold now.
        let rules = {
            let settings = self.settings.read();
            let is_zstd_allowed = append.is_zstd_allowed;
            BatchRules { is_zstd_allowed, ..settings.log.batch_rules(append.now_ms) }
        };
        let batch = match ValidBatch::validate(records, &rules) {
            Ok(batch) => batch,
            Err(error) => {
                // Who asks the wrong broker is told that first.
                self.serving()?.partition.check_append(append.acks).map_err(refused)?;
                return Err(invalid(error));
            }
        };
        self.append_valid(batch, append)
    }

    /// Appends a batch that was validated, or that this broker built for itself.
    pub(crate) fn append_valid(
        self: &Arc<Self>,
        batch: ValidBatch<'_>,
        append: &Appending<'_>,
    ) -> Result<Appended, AppendRefused> {
        self.append_if(None, batch, append)
    }

    /// Like [`HostedPartition::append_valid`], if the log is where a coordinator believes it to be.
    pub(crate) fn append_if(
        self: &Arc<Self>,
        condition: Option<AppendCondition>,
        batch: ValidBatch<'_>,
        append: &Appending<'_>,
    ) -> Result<Appended, AppendRefused> {
        let mut state = self.serving()?;
        state.check_condition(condition)?;
        state.partition.check_append(append.acks).map_err(refused)?;
        state.check_verified(batch.facts(), append.guard)?;
        let (size, producer_id) = (batch.size(), batch.facts().producer_id);
        let epoch = state.partition.leader_epoch();
        let appended = state
            .log
            .append_as_leader(batch, epoch, append.now_ms)
            .map_err(|error| self.append_failed(error))?;
        state.verifications.end(producer_id);
        let next = self.on_appended(&mut state, append, &appended, size);
        drop(state);
        self.see_to_disk(next);
        Ok(appended)
    }

    /// Moves on after an append of this broker's; answers what it means for the disk.
    pub(super) fn on_appended(
        &self,
        state: &mut State,
        append: &Appending<'_>,
        appended: &Appended,
        size: usize,
    ) -> Next {
        let end = appended.last_offset.plus(1);
        let effects = state.on_grown(if appended.is_duplicate { 0 } else { size });
        self.perform(state, effects);
        if !state.partition.is_acknowledged(end, append.acks) {
            let wait = ProduceWait::new(end, append.acks, append.waits, append.slot);
            state.produce_waits.push(wait);
        }
        state.plan_flush(append.now_ms)
    }

    /// Does for the disk what an append asked for.
    pub(super) fn see_to_disk(self: &Arc<Self>, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Flush => self.queue_flush(),
            Next::FlushInTime => self.directory().add_relaxed(self),
        }
    }

    pub(super) fn append_failed(&self, error: AppendError) -> AppendRefused {
        let code = match &error {
            AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            AppendError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
            AppendError::TransactionCoordinatorFenced { .. } => {
                ErrorCode::TransactionCoordinatorFenced
            }
            AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
            AppendError::Storage(storage) => {
                self.on_disk_error(storage);
                ErrorCode::KafkaStorageError
            }
            AppendError::UnexpectedOffset { .. }
            | AppendError::Malformed(_)
            | AppendError::Batch(_) => ErrorCode::CorruptMessage,
        };
        AppendRefused { error: code, message: Some(error.to_string()), records: Vec::new() }
    }
}

impl State {
    /// Takes note of `size` new bytes in the log: replicas see them now, consumers later.
    pub(super) fn on_grown(&mut self, size: usize) -> Effects {
        let log_end = self.log.log_end_offset();
        if size > 0 {
            self.unseen.push_back((log_end, size));
            if !(self.replica_watches.is_empty() && self.replica_waits.is_empty()) {
                self.replica_waits.retain(|parked| !parked.on_bytes(size));
                watch::on_append(&mut self.replica_watches, size);
            }
        }
        self.partition.on_append(log_end)
    }

    /// What records that are not flushed mean for the disk.
    pub(super) fn plan_flush(&mut self, now_ms: i64) -> Next {
        let unflushed = self.log.log_end_offset().0 - self.log.flushed_offset().0;
        match self.partition.durability() {
            _ if unflushed == 0 => Next::Nothing,
            Durability::Fsync => Next::Flush,
            Durability::PageCache if unflushed >= self.log.config().flush_messages => Next::Flush,
            Durability::PageCache if self.unflushed_since_ms.is_none() => {
                self.unflushed_since_ms = Some(now_ms);
                Next::FlushInTime
            }
            Durability::PageCache => Next::Nothing,
        }
    }
}

/// What an append means for the disk.
pub(super) enum Next {
    Nothing,
    /// At once: somebody waits for it.
    Flush,
    /// When `flush.ms` is over.
    FlushInTime,
}

fn invalid(error: BatchError) -> AppendRefused {
    let code = match &error {
        BatchError::NoBatch | BatchError::MoreThanOneBatch => ErrorCode::InvalidRecord,
        BatchError::OldFormat => ErrorCode::InvalidRecord,
        BatchError::Malformed(_) | BatchError::CorruptMessage { .. } => ErrorCode::CorruptMessage,
        BatchError::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
        BatchError::UnsupportedCompressionType => ErrorCode::UnsupportedCompressionType,
        BatchError::UnknownCompression
        | BatchError::Undecodable(_)
        // Not MESSAGE_TOO_LARGE: clients would split the batch and send it again.
        | BatchError::DecompressedTooLarge { .. }
        | BatchError::Count { .. }
        | BatchError::TrailingBytes
        | BatchError::ControlBatch
        | BatchError::Sequence { .. }
        | BatchError::TransactionalWithoutProducer
        | BatchError::InvalidRecord(_) => ErrorCode::InvalidRecord,
        BatchError::ProducerSetAppendTime | BatchError::InvalidTimestamp(_) => {
            ErrorCode::InvalidTimestamp
        }
    };
    let message = Some(error.to_string());
    let records = match error {
        BatchError::InvalidRecord(records) | BatchError::InvalidTimestamp(records) => records,
        _ => Vec::new(),
    };
    AppendRefused { error: code, message, records }
}
