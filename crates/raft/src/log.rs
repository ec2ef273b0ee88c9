//! The metadata log of one replica: opened, grown, cut, read, snapshotted.
//!
//! The quorum decides what happens to it ([`crate::quorum::Effect`]); here it is done to the disk.
//! Nothing in it is interpreted but the quorum's own records.

pub(crate) mod batches;
mod carry_out;
mod snapshots;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kalda_env::Disk;
use kalda_model::{BrokerId, CLUSTER_METADATA_TOPIC, DirectoryId, LeaderEpoch, Offset, Uuid};
use kalda_protocol::stored::metadata::{
    BeginTransactionRecord, EndTransactionRecord, MetadataRecord,
};
use kalda_records::{BatchIter, BatchView};
use kalda_storage::{
    AppendError, Log, LogConfig, OpenOptions, ReadError, ReadOptions, StorageError,
};

pub use batches::decode_batches;
use batches::{batch_of, data_batch, records_of};
pub use carry_out::{CarryOutError, Outcome};
pub use snapshots::{SnapshotJob, format};

use crate::quorum::{LogView, OffsetAndEpoch, Restored, VoterSet};
use crate::quorum_state::{QuorumState, QuorumStateError};
use crate::snapshot::{SnapshotContent, SnapshotId};

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
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// The disk.
    pub disk: &'a Arc<dyn Disk>,
    /// The log directory that holds it (`metadata.log.dir`).
    pub log_dir: &'a Path,
    /// The id of that directory.
    pub directory_id: DirectoryId,
    /// This replica.
    pub node: BrokerId,
    /// Whether the log directory was closed clean.
    pub clean_shutdown: bool,
    /// Everything below it was durable once (`recovery-point-offset-checkpoint`); 0 if unknown.
    pub recovery_point: Offset,
    /// The wall clock.
    pub now_ms: i64,
    /// The voters if no record names them: `controller.quorum.voters`.
    pub static_voters: VoterSet,
}

/// A batch of the controller's records that is committed.
#[derive(Clone, PartialEq, Debug)]
pub struct Committed {
    /// What it holds.
    pub records: Vec<MetadataRecord>,
    /// The offset behind its last record.
    pub end_offset: Offset,
    /// The epoch of the leader that wrote it.
    pub epoch: LeaderEpoch,
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
    /// A batch could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The log of `__cluster_metadata-0` on one disk.
#[derive(Debug)]
pub struct MetadataLog {
    log: Log,
    disk: Arc<dyn Disk>,
    snapshot: Option<SnapshotId>,
    bytes_since_snapshot: u64,
    /// The voters if no record names them.
    static_voters: VoterSet,
    /// Whether the voters are records, and leaders name their directories.
    is_dynamic: bool,
}

impl MetadataLog {
    /// Opens the log, or makes it. What is in it may not be committed: only the newest snapshot is.
    ///
    /// # Errors
    /// The log cannot be trusted.
    pub fn open(opening: &Opening<'_>) -> Result<(Self, Restored), OpenError> {
        let dir = opening.log_dir.join(format!("{CLUSTER_METADATA_TOPIC}-0"));
        let log = open_log(opening, &dir)?;
        let mut opened = Self {
            log,
            disk: Arc::clone(opening.disk),
            snapshot: None,
            bytes_since_snapshot: 0,
            static_voters: opening.static_voters.clone(),
            is_dynamic: false,
        };
        let view = opened.view()?;
        opened.is_dynamic = view.kraft_version() > 0;
        let restored = Restored {
            id: opening.node,
            directory: opening.directory_id,
            quorum_state: QuorumState::load(&**opening.disk, opened.log.dir())?,
            log: view,
        };
        Ok((opened, restored))
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// Its end, with the epoch of the last record.
    #[must_use]
    pub fn end(&self) -> OffsetAndEpoch {
        let snapshot = || self.snapshot.map_or(LeaderEpoch(0), |id| id.epoch);
        let epoch = self.log.latest_epoch().unwrap_or_else(snapshot);
        OffsetAndEpoch { offset: self.end_offset(), epoch }
    }

    /// The log below, for flushing and closing.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Whether so much was appended since the last snapshot that another is due.
    #[must_use]
    pub fn is_snapshot_due(&self) -> bool {
        self.bytes_since_snapshot >= SNAPSHOT_EVERY_BYTES
    }

    /// The next committed batches from `from` on, some of those below `to`.
    ///
    /// # Errors
    /// The disk failed, or a record cannot be understood.
    pub fn read_committed(&self, from: Offset, to: Offset) -> Result<Vec<Committed>, OpenError> {
        let bytes = self.read(from, to, REPLAY_READ_LEN)?;
        let mut committed = Vec::new();
        for batch in BatchIter::new(&bytes) {
            let batch = self.intact(batch)?;
            if batch.next_offset() > to {
                break;
            }
            let at = batch.base_offset();
            let records = match batch.is_control() {
                true => Vec::new(),
                false => records_of(&batch)
                    .map_err(|error| self.unusable(format!("offset {at}: {error}")))?,
            };
            let (end_offset, epoch) = (batch.next_offset(), batch.leader_epoch());
            committed.push(Committed { records, end_offset, epoch });
        }
        Ok(committed)
    }

    /// Whole batches from `from` on, at least one, no more than `max_bytes` beyond it.
    fn read(&self, from: Offset, to: Offset, max_bytes: usize) -> Result<Bytes, OpenError> {
        let upper = to.min(self.log.log_end_offset());
        if from >= upper {
            return Ok(Bytes::new());
        }
        let options = ReadOptions { max_bytes, upper, min_one_batch: true };
        let slice = match self.log.read(from, options) {
            Ok(Some(slice)) => slice,
            Ok(None) => return Ok(Bytes::new()),
            Err(ReadError::Storage(error)) => return Err(error.into()),
            Err(error) => return Err(self.unusable(error.to_string())),
        };
        Ok(slice.read_bytes().map_err(|error| self.disk_error(error))?)
    }

    fn intact<'a, E: std::fmt::Display>(
        &self,
        batch: Result<BatchView<'a>, E>,
    ) -> Result<BatchView<'a>, OpenError> {
        let batch = batch.map_err(|error| self.unusable(error.to_string()))?;
        if !batch.is_intact() {
            let at = batch.base_offset();
            return Err(self.unusable(format!("the batch at offset {at} is damaged")));
        }
        Ok(batch)
    }

    /// The outline of what is on the disk.
    fn view(&mut self) -> Result<LogView, OpenError> {
        let newest = self.newest_snapshot()?;
        let mut view = match &newest {
            Some((id, content)) if id.end_offset > Offset::ZERO => {
                let voters = content.voters.clone();
                let (voters, version) = voters.unwrap_or_else(|| (self.static_voters.clone(), 0));
                LogView::from_snapshot(*id, voters, version)
            }
            // Formatted, and nothing was ever decided: the voters that it was formatted with.
            Some((_, SnapshotContent { voters: Some((voters, version)), .. })) => {
                LogView::new(voters.clone(), *version)
            }
            _ => LogView::new(self.static_voters.clone(), 0),
        };
        self.snapshot = newest.map(|(id, _)| id).filter(|id| id.end_offset > Offset::ZERO);
        let mut from = view.start_offset();
        if from < self.log.log_start_offset() {
            return Err(self.unusable(format!(
                "it begins at offset {}, but the newest snapshot ends at {from}",
                self.log.log_start_offset()
            )));
        }
        while from < self.log.log_end_offset() {
            let bytes = self.read(from, Offset(i64::MAX), REPLAY_READ_LEN)?;
            if bytes.is_empty() {
                break;
            }
            self.bytes_since_snapshot += bytes.len() as u64;
            let mut at = 0;
            for batch in BatchIter::new(&bytes) {
                let batch = self.intact(batch)?;
                let encoded = bytes.slice(at..at + batch.size());
                at += batch.size();
                from = batch.next_offset();
                if batch.base_offset() >= view.end_offset() {
                    let batch = batch_of(&batch, encoded).map_err(|why| self.unusable(why))?;
                    view.restore(&batch);
                }
            }
        }
        if self.log.log_end_offset() < view.start_offset() {
            // A crash came between a snapshot that was fetched and the log that begins behind it.
            self.log.truncate_fully_and_start_at(view.start_offset(), 0)?;
        }
        Ok(view)
    }

    fn disk_error(&self, source: std::io::Error) -> StorageError {
        StorageError::Disk { path: self.log.dir().to_owned(), source }
    }

    fn unusable(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Unusable { path: self.log.dir().to_owned(), reason: reason.into() }
    }
}

/// The batches of one decision that is to be appended at `end` in `epoch`: how many records each
/// holds, and its bytes. All of them hold or none: more than fit into one batch become a metadata
/// transaction.
///
/// # Errors
/// A record cannot be written in its version.
pub fn decision_batches(
    records: &[MetadataRecord],
    end: Offset,
    epoch: LeaderEpoch,
    now_ms: i64,
) -> std::io::Result<Vec<(i64, Bytes)>> {
    let mut batches = Vec::new();
    let mut end = end;
    let mut push = |records: &[MetadataRecord]| {
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        batches.push((count, data_batch(records, end, epoch, now_ms)?));
        end = end.plus(count);
        Ok::<_, std::io::Error>(())
    };
    if records.len() <= RECORDS_PER_BATCH_MAX {
        push(records)?;
        return Ok(batches);
    }
    push(&[MetadataRecord::BeginTransaction(BeginTransactionRecord::default())])?;
    for chunk in records.chunks(RECORDS_PER_BATCH_MAX) {
        push(chunk)?;
    }
    push(&[MetadataRecord::EndTransaction(EndTransactionRecord::default())])?;
    Ok(batches)
}

fn open_log(opening: &Opening<'_>, dir: &Path) -> Result<Log, OpenError> {
    // The log is never cut by age: only a snapshot may stand for its beginning.
    let config = Arc::new(LogConfig {
        retention_ms: -1,
        retention_bytes: -1,
        max_message_bytes: BATCH_LEN_MAX,
        ..LogConfig::default()
    });
    if !has_segments(opening, dir)? {
        let topic_id = Some(Uuid::METADATA_TOPIC);
        return Ok(Log::create(opening.disk, dir, config, topic_id, opening.now_ms)?);
    }
    let options = OpenOptions {
        clean_shutdown: opening.clean_shutdown,
        recovery_point: opening.recovery_point,
        log_start: Offset::ZERO,
        now_ms: opening.now_ms,
        is_synced: false,
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
        // Nobody heard of a decision before it was on disk. These were not when the power went.
        tracing::info!(
            "cut {} bytes of an unfinished write from the metadata log at offset {}",
            torn.bytes,
            torn.offset
        );
        if let Some(kept) = &torn.kept {
            tracing::warn!("whole batches lay behind it; they are kept in {}", kept.display());
        }
    }
    Ok(log)
}

/// Whether there is a log already; a directory that was only formatted has none.
fn has_segments(opening: &Opening<'_>, dir: &Path) -> Result<bool, StorageError> {
    if !opening.disk.exists(dir) {
        return Ok(false);
    }
    let entries = opening.disk.list(dir);
    let entries = entries.map_err(|source| StorageError::Disk { path: dir.to_owned(), source })?;
    Ok(entries.iter().any(|entry| entry.name.ends_with(".log")))
}

#[cfg(test)]
mod tests;
