//! The metadata log of one voter: opened, led, appended to, snapshotted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kalda_env::Disk;
use kalda_model::{BrokerId, CLUSTER_METADATA_TOPIC, DirectoryId, LeaderEpoch, Offset, Uuid};
use kalda_protocol::stored::metadata::{
    AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, MetadataRecord,
};
use kalda_protocol::stored::raft::leader_change::Voter;
use kalda_protocol::stored::raft::{ControlRecord, LeaderChangeMessage};
use kalda_records::{BatchBuilder, BatchIter, BatchOptions, BatchView, ControlType, ValidBatch};
use kalda_storage::{
    AppendError, Log, LogConfig, OpenOptions, ReadError, ReadOptions, RecoveryReport, StorageError,
};

use crate::quorum_state::{QuorumState, QuorumStateError};
use crate::snapshot::{self, SnapshotId};

/// Most records of one batch; a larger decision becomes a metadata transaction (KIP-868).
const RECORDS_PER_BATCH_MAX: usize = 10_000;
/// New records, in bytes, after which a snapshot is due
/// (`metadata.log.max.record.bytes.between.snapshots`).
const SNAPSHOT_EVERY_BYTES: u64 = 20 * 1024 * 1024;
/// Bytes read at once when the log is replayed.
const REPLAY_READ_LEN: usize = 1024 * 1024;
/// A batch of the most records is well below this.
const BATCH_LEN_MAX: usize = 16 * 1024 * 1024;

/// Where the log is, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The disk.
    pub disk: &'a Arc<dyn Disk>,
    /// The log directory that holds it (`metadata.log.dir`).
    pub log_dir: &'a Path,
    /// The id of that directory.
    pub directory_id: DirectoryId,
    /// This voter.
    pub node: BrokerId,
    /// Whether the log directory was closed clean.
    pub clean_shutdown: bool,
    /// Everything below it was durable once (`recovery-point-offset-checkpoint`); 0 if unknown.
    pub recovery_point: Offset,
    /// The wall clock.
    pub now_ms: i64,
}

/// What is replayed, in order: the records of the newest snapshot, then the log's batches.
pub trait Replay {
    /// Takes the records up to `end_offset` (exclusive).
    ///
    /// # Errors
    /// They contradict what was replayed before; the text says how.
    fn replay(
        &mut self,
        records: &[MetadataRecord],
        end_offset: Offset,
        epoch: LeaderEpoch,
    ) -> Result<(), String>;
}

/// Why the metadata log cannot be used: the process must not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed, or a file of the log is damaged.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// `quorum-state` is unreadable.
    #[error(transparent)]
    QuorumState(#[from] QuorumStateError),
    /// Records are lost or cannot be understood. Skipping them would make another cluster of it.
    #[error("the metadata log in {} cannot be replayed: {reason}", path.display())]
    Unusable {
        /// The log's directory.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The first record of the new epoch could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The log of `__cluster_metadata-0`, led by this node.
#[derive(Debug)]
pub struct MetadataLog {
    log: Log,
    disk: Arc<dyn Disk>,
    epoch: LeaderEpoch,
    snapshot: Option<SnapshotId>,
    bytes_since_snapshot: u64,
    /// A metadata transaction was begun and not ended (KIP-868).
    in_transaction: bool,
}

impl MetadataLog {
    /// Opens the log, or makes it, and replays it into `sink`; then begins a new epoch as leader.
    /// The first record of the epoch is appended, not yet flushed.
    ///
    /// # Errors
    /// The log cannot be trusted.
    pub fn open(opening: Opening<'_>, sink: &mut dyn Replay) -> Result<Self, OpenError> {
        let dir = opening.log_dir.join(format!("{CLUSTER_METADATA_TOPIC}-0"));
        let (log, is_new) = open_log(&opening, &dir)?;
        let mut opened = Self {
            log,
            disk: Arc::clone(opening.disk),
            epoch: LeaderEpoch::UNKNOWN,
            snapshot: None,
            bytes_since_snapshot: 0,
            in_transaction: false,
        };
        if !is_new {
            opened.replay_snapshot(sink)?;
            opened.replay_log(sink)?;
        }
        opened.begin_epoch(&opening)?;
        opened.abort_transaction(opening.now_ms, sink)?;
        Ok(opened)
    }

    /// The epoch that this node leads.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// The log below, for flushing and closing.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Appends the records of one decision; all of them hold or none. Answers the end offset that
    /// must be flushed before anyone hears of it.
    ///
    /// # Errors
    /// The disk failed: nothing of it holds.
    pub fn append(
        &mut self,
        records: &[MetadataRecord],
        now_ms: i64,
    ) -> Result<Offset, AppendError> {
        if records.len() <= RECORDS_PER_BATCH_MAX {
            return self.append_batch(records, now_ms);
        }
        let begin = MetadataRecord::BeginTransaction(BeginTransactionRecord::default());
        self.append_batch(&[begin], now_ms)?;
        for chunk in records.chunks(RECORDS_PER_BATCH_MAX) {
            self.append_batch(chunk, now_ms)?;
        }
        let end = MetadataRecord::EndTransaction(EndTransactionRecord::default());
        self.append_batch(&[end], now_ms)
    }

    /// Whether so much was appended since the last snapshot that another is due.
    #[must_use]
    pub fn is_snapshot_due(&self) -> bool {
        self.bytes_since_snapshot >= SNAPSHOT_EVERY_BYTES
    }

    /// Writes a snapshot of the committed state up to `end_offset`, durably, and drops the ones
    /// before it.
    ///
    /// # Errors
    /// The disk failed.
    pub fn write_snapshot(
        &mut self,
        records: &[MetadataRecord],
        end_offset: Offset,
        now_ms: i64,
    ) -> Result<SnapshotId, StorageError> {
        let id = SnapshotId { end_offset, epoch: self.epoch };
        let path = self.log.dir().join(id.to_string());
        let failed = |source| StorageError::Disk { path: path.clone(), source };
        let bytes = snapshot::encode(records, self.epoch, now_ms, now_ms).map_err(failed)?;
        self.disk.replace(&path, &bytes).map_err(failed)?;
        for older in self.snapshots().map_err(failed)?.into_iter().filter(|other| *other < id) {
            self.disk.remove_file(&self.log.dir().join(older.to_string())).map_err(failed)?;
        }
        self.snapshot = Some(id);
        self.bytes_since_snapshot = 0;
        Ok(id)
    }

    fn append_batch(
        &mut self,
        records: &[MetadataRecord],
        now_ms: i64,
    ) -> Result<Offset, AppendError> {
        let bytes = data_batch(records, self.log.log_end_offset(), self.epoch, now_ms)
            .map_err(|error| self.disk_error(error))?;
        self.bytes_since_snapshot += bytes.len() as u64;
        let batch = ValidBatch::own(bytes)?;
        self.log.append_as_leader(batch, self.epoch, now_ms)?;
        Ok(self.log.log_end_offset())
    }

    fn disk_error(&self, source: std::io::Error) -> StorageError {
        StorageError::Disk { path: self.log.dir().to_owned(), source }
    }

    fn unusable(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Unusable { path: self.log.dir().to_owned(), reason: reason.into() }
    }

    fn snapshots(&self) -> std::io::Result<Vec<SnapshotId>> {
        let entries = self.disk.list(self.log.dir())?;
        let mut ids: Vec<_> =
            entries.iter().filter_map(|entry| SnapshotId::from_file_name(&entry.name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn replay_snapshot(&mut self, sink: &mut dyn Replay) -> Result<(), OpenError> {
        let newest = self.snapshots().map_err(|error| self.disk_error(error))?.pop();
        let Some(id) = newest else { return Ok(()) };
        let path = self.log.dir().join(id.to_string());
        let bytes = self.disk.read(&path).map_err(|error| self.disk_error(error))?;
        let records =
            snapshot::decode(&bytes.into(), &path).map_err(|reason| self.unusable(reason))?;
        sink.replay(&records, id.end_offset, id.epoch).map_err(|reason| self.unusable(reason))?;
        self.snapshot = Some(id);
        Ok(())
    }

    fn replay_log(&mut self, sink: &mut dyn Replay) -> Result<(), OpenError> {
        let covered = self.snapshot.map_or(Offset::ZERO, |id| id.end_offset);
        let mut from = covered;
        if from < self.log.log_start_offset() {
            return Err(self.unusable(format!(
                "it begins at offset {}, but the newest snapshot ends at {covered}",
                self.log.log_start_offset()
            )));
        }
        while from < self.log.log_end_offset() {
            let options = ReadOptions {
                max_bytes: REPLAY_READ_LEN,
                upper: self.log.log_end_offset(),
                min_one_batch: true,
            };
            let slice = match self.log.read(from, options) {
                Ok(Some(slice)) => slice,
                Ok(None) => break,
                Err(ReadError::Storage(error)) => return Err(error.into()),
                Err(error) => return Err(self.unusable(error.to_string())),
            };
            let bytes = slice.read_bytes().map_err(|error| self.disk_error(error))?;
            self.bytes_since_snapshot += bytes.len() as u64;
            for batch in BatchIter::new(&bytes) {
                let batch = batch.map_err(|error| self.unusable(error.to_string()))?;
                if !batch.is_intact() {
                    let at = batch.base_offset();
                    return Err(self.unusable(format!("the batch at offset {at} is damaged")));
                }
                from = batch.next_offset();
                if !batch.is_control() && batch.base_offset() >= covered {
                    self.replay_batch(&batch, sink)?;
                }
            }
        }
        Ok(())
    }

    fn replay_batch(
        &mut self,
        batch: &BatchView<'_>,
        sink: &mut dyn Replay,
    ) -> Result<(), OpenError> {
        let at = batch.base_offset();
        let records =
            records_of(batch).map_err(|error| self.unusable(format!("offset {at}: {error}")))?;
        for record in &records {
            match record {
                MetadataRecord::BeginTransaction(_) => self.in_transaction = true,
                MetadataRecord::EndTransaction(_) | MetadataRecord::AbortTransaction(_) => {
                    self.in_transaction = false;
                }
                _ => {}
            }
        }
        sink.replay(&records, batch.next_offset(), batch.leader_epoch())
            .map_err(|reason| self.unusable(format!("offset {at}: {reason}")))
    }

    /// Elects itself: with one voter its own vote is the majority. The vote is on disk before the
    /// first record of the epoch is.
    fn begin_epoch(&mut self, opening: &Opening<'_>) -> Result<(), OpenError> {
        let known = QuorumState::load(&**opening.disk, self.log.dir())?;
        let newest = known.map_or(LeaderEpoch(0), |state| state.epoch);
        let newest = newest.max(self.log.latest_epoch().unwrap_or(LeaderEpoch(0)));
        self.epoch = LeaderEpoch(newest.0 + 1);
        let state = QuorumState {
            epoch: self.epoch,
            leader: Some(opening.node),
            voted: Some((opening.node, opening.directory_id)),
        };
        state.store(&**opening.disk, self.log.dir())?;
        let me = Voter { voter_id: opening.node.0, voter_directory_id: Uuid::ZERO };
        let change = ControlRecord::LeaderChange(LeaderChangeMessage {
            version: 0,
            leader_id: opening.node.0,
            voters: vec![me.clone()],
            granting_voters: vec![me],
        });
        let at = self.log.log_end_offset();
        let kind = ControlType::LeaderChange;
        let bytes = control_batch(&change, kind, at, self.epoch, opening.now_ms)
            .map_err(|error| self.disk_error(error))?;
        self.log.append_control(bytes, self.epoch, opening.now_ms)?;
        Ok(())
    }

    /// Nobody is left to end a transaction that an earlier leader began: nothing of it holds, and
    /// what comes next must not become a part of it.
    fn abort_transaction(&mut self, now_ms: i64, sink: &mut dyn Replay) -> Result<(), OpenError> {
        if !std::mem::take(&mut self.in_transaction) {
            return Ok(());
        }
        let reason = Some("its leader ended before it did".to_owned());
        let abort = [MetadataRecord::AbortTransaction(AbortTransactionRecord { reason })];
        let end = self.append_batch(&abort, now_ms)?;
        sink.replay(&abort, end, self.epoch).map_err(|reason| self.unusable(reason))
    }
}

fn open_log(opening: &Opening<'_>, dir: &Path) -> Result<(Log, bool), OpenError> {
    // The log is never cut by age: only a snapshot may stand for its beginning.
    let config = Arc::new(LogConfig {
        retention_ms: -1,
        retention_bytes: -1,
        max_message_bytes: BATCH_LEN_MAX,
        ..LogConfig::default()
    });
    if !opening.disk.exists(dir) {
        let topic_id = Some(Uuid::METADATA_TOPIC);
        let log = Log::create(opening.disk, dir, config, topic_id, opening.now_ms)?;
        return Ok((log, true));
    }
    let options = OpenOptions {
        clean_shutdown: opening.clean_shutdown,
        recovery_point: opening.recovery_point,
        log_start: Offset::ZERO,
        now_ms: opening.now_ms,
    };
    let list = opening.disk.list(dir);
    let list = list.map_err(|source| StorageError::Disk { path: dir.to_owned(), source })?;
    if let Some(damaged) = list.iter().find(|entry| entry.name.ends_with(".quarantine")) {
        // An earlier start set it aside: what is left would look like a whole log, of another cluster.
        return Err(OpenError::Unusable {
            path: dir.to_owned(),
            reason: format!("{} holds damaged bytes that are missing from it", damaged.name),
        });
    }
    let (log, report) = Log::open(opening.disk, dir, config, options)?;
    if let Some(damaged) = report.quarantined.first() {
        if damaged.is_unwritten && damaged.from_offset >= opening.recovery_point {
            // Nobody heard of a decision before it was on disk. These were not when the power went.
            tracing::warn!(
                "cut {} bytes of unfinished writes from the metadata log at offset {}",
                damaged.bytes,
                damaged.from_offset
            );
            keep_as_cut(opening.disk, &report)?;
            return Ok((log, false));
        }
        return Err(OpenError::Unusable {
            path: dir.to_owned(),
            reason: format!(
                "{} bytes from offset {} are damaged ({}) and were set aside in {}",
                damaged.bytes,
                damaged.from_offset,
                damaged.reason,
                damaged.moved_to.display()
            ),
        });
    }
    if let Some((from, to)) = report.missing {
        let reason = format!("offsets {from} to {to} were on disk once and are missing");
        return Err(OpenError::Unusable { path: dir.to_owned(), reason });
    }
    if let Some(torn) = &report.torn {
        tracing::info!(
            "cut {} bytes of an unfinished write from the metadata log at offset {}",
            torn.bytes,
            torn.offset
        );
    }
    Ok((log, false))
}

/// Gives what was cut another name than damage has, which would be refused at the next start.
fn keep_as_cut(disk: &Arc<dyn Disk>, report: &RecoveryReport) -> Result<(), StorageError> {
    for cut in &report.quarantined {
        let mut name = cut.moved_to.clone().into_os_string();
        name.push(".cut");
        let renamed = disk.rename(&cut.moved_to, Path::new(&name));
        renamed.map_err(|source| StorageError::Disk { path: cut.moved_to.clone(), source })?;
    }
    Ok(())
}

/// A batch of metadata records.
pub(crate) fn data_batch(
    records: &[MetadataRecord],
    base_offset: Offset,
    epoch: LeaderEpoch,
    now_ms: i64,
) -> std::io::Result<Bytes> {
    let mut batch = BatchBuilder::new(BatchOptions {
        base_offset,
        leader_epoch: epoch,
        ..BatchOptions::default()
    });
    for record in records {
        let value = record.encode_value().map_err(std::io::Error::other)?;
        batch.append(now_ms, None, Some(&value), &[]);
    }
    batch.build()
}

/// A batch with one control record.
pub(crate) fn control_batch(
    record: &ControlRecord,
    kind: ControlType,
    base_offset: Offset,
    epoch: LeaderEpoch,
    now_ms: i64,
) -> std::io::Result<Bytes> {
    let mut batch = BatchBuilder::new(BatchOptions {
        base_offset,
        leader_epoch: epoch,
        is_control: true,
        ..BatchOptions::default()
    });
    let value = record.encode_value().map_err(std::io::Error::other)?;
    batch.append(now_ms, Some(&kind.to_key()), Some(&value), &[]);
    batch.build()
}

/// The records of a batch, all of them or an error: skipping one would make another cluster of it.
pub(crate) fn records_of(batch: &BatchView<'_>) -> Result<Vec<MetadataRecord>, String> {
    let mut records = Vec::new();
    for record in batch.records() {
        let record = record.map_err(|error| error.to_string())?;
        let value = record.value.ok_or_else(|| format!("record {} is null", record.offset))?;
        let decoded = MetadataRecord::decode_value(Bytes::copy_from_slice(value));
        records.push(decoded.map_err(|error| format!("record {}: {error}", record.offset))?);
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
