//! Snapshots of the metadata: our own, and those fetched from a leader.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kalda_env::{Disk, OpenMode};
use kalda_model::{CLUSTER_METADATA_TOPIC, LeaderEpoch, Offset};
use kalda_protocol::stored::metadata::MetadataRecord;
use kalda_storage::StorageError;

use super::{MetadataLog, OpenError};
use crate::quorum::{LogView, VoterSet};
use crate::snapshot::{self, SnapshotContent, SnapshotId};

/// What a snapshot that is being fetched is called until it is whole.
const PART: &str = ".part";

/// Makes the metadata log's directory in `log_dir` with a snapshot that names the first voters, as
/// `kafka-storage format` does with `--standalone` and `--initial-controllers` (KIP-853).
///
/// # Errors
/// The disk failed.
pub fn format(
    disk: &dyn Disk,
    log_dir: &Path,
    voters: &VoterSet,
    now_ms: i64,
) -> Result<(), StorageError> {
    let dir = log_dir.join(format!("{CLUSTER_METADATA_TOPIC}-0"));
    let id = SnapshotId { end_offset: Offset::ZERO, epoch: LeaderEpoch(0) };
    let path = dir.join(id.to_string());
    let content = SnapshotContent { records: Vec::new(), voters: Some((voters.clone(), 1)) };
    let written = snapshot::encode(&content, id.epoch, now_ms, now_ms)
        .and_then(|bytes| disk.create_dir_all(&dir).map(|()| bytes))
        .and_then(|bytes| disk.replace(&path, &bytes));
    written.map_err(|source| StorageError::Disk { path, source })
}

/// A snapshot that is to be written, by whoever has the time for it. The log goes on meanwhile: a large
/// one takes longer than a leader may be silent.
#[derive(Debug)]
pub struct SnapshotJob {
    id: SnapshotId,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    voters: Option<(VoterSet, i16)>,
    now_ms: i64,
}

impl SnapshotJob {
    /// Writes it, durably, with the records of the state that its id names.
    ///
    /// # Errors
    /// The disk failed.
    pub fn write(self, records: Vec<MetadataRecord>) -> Result<SnapshotId, StorageError> {
        let failed = |source| StorageError::Disk { path: self.path.clone(), source };
        let content = SnapshotContent { records, voters: self.voters };
        let encoded = snapshot::encode(&content, self.id.epoch, self.now_ms, self.now_ms);
        let written = encoded.and_then(|bytes| self.disk.replace(&self.path, &bytes));
        written.map_err(failed)?;
        Ok(self.id)
    }
}

impl MetadataLog {
    /// The newest snapshot and its records, for whoever replays from it.
    ///
    /// # Errors
    /// The disk failed, or the file is damaged.
    pub fn newest_snapshot_records(
        &self,
    ) -> Result<Option<(SnapshotId, Vec<MetadataRecord>)>, OpenError> {
        let newest = self.newest_snapshot()?;
        let newest = newest.filter(|(id, _)| id.end_offset > Offset::ZERO);
        Ok(newest.map(|(id, content)| (id, content.records)))
    }

    /// Begins a snapshot of the committed state that `id` names. `voters` are those as of its end. It is
    /// finished by [`Self::finish_snapshot`]; the next one is not due before as much was appended again.
    pub fn begin_snapshot(
        &mut self,
        id: SnapshotId,
        voters: Option<(VoterSet, i16)>,
        now_ms: i64,
    ) -> SnapshotJob {
        self.bytes_since_snapshot = 0;
        let path = self.log.dir().join(id.to_string());
        SnapshotJob { id, path, disk: Arc::clone(&self.disk), voters, now_ms }
    }

    /// The snapshot is written: the ones before it are dropped. Answers whether it is the newest; if
    /// not, another one was fetched meanwhile, and it is dropped itself.
    ///
    /// # Errors
    /// The disk failed.
    pub fn finish_snapshot(&mut self, id: SnapshotId) -> Result<bool, StorageError> {
        if let Some(newer) = self.snapshot.filter(|known| *known >= id) {
            self.drop_older_than(newer)?;
            return Ok(false);
        }
        self.drop_older_than(id)?;
        self.snapshot = Some(id);
        Ok(true)
    }

    /// The length of a snapshot and a piece of it; none if there is no such snapshot.
    ///
    /// # Errors
    /// The disk failed.
    pub fn read_snapshot(
        &self,
        id: SnapshotId,
        position: u64,
        max_bytes: usize,
    ) -> Result<Option<(u64, Bytes)>, StorageError> {
        let path = self.log.dir().join(id.to_string());
        let failed = |source| StorageError::Disk { path: path.clone(), source };
        if !self.disk.exists(&path) {
            return Ok(None);
        }
        let file = self.disk.open(&path, OpenMode::Read).map_err(failed)?;
        let size = file.len().map_err(failed)?;
        let left = usize::try_from(size.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut piece = vec![0; left.min(max_bytes)];
        file.read_exact_at(&mut piece, position).map_err(failed)?;
        Ok(Some((size, piece.into())))
    }

    /// Writes a piece of a snapshot that is being fetched. With the last one the snapshot takes the
    /// place of the log: the outline of the log that begins behind it, or none if it is damaged.
    pub(super) fn write_fetched(
        &mut self,
        id: SnapshotId,
        position: u64,
        bytes: &[u8],
        is_last: bool,
        now_ms: i64,
    ) -> Result<Option<LogView>, StorageError> {
        let path = self.log.dir().join(id.to_string());
        let mut part = path.clone().into_os_string();
        part.push(PART);
        let part = PathBuf::from(part);
        let failed = |source| StorageError::Disk { path: part.clone(), source };
        let mode = OpenMode::Create;
        let file = self.disk.open(&part, mode).map_err(failed)?;
        if position == 0 {
            file.set_len(0).map_err(failed)?;
        }
        file.write_all_at(bytes, position).map_err(failed)?;
        if !is_last {
            return Ok(None);
        }
        let whole = self.disk.read(&part).map_err(failed)?;
        let content = match snapshot::decode(&whole.into(), &part) {
            Ok(content) => content,
            Err(reason) => {
                tracing::error!("a snapshot that was fetched cannot be used: {reason}");
                self.disk.remove_file(&part).map_err(failed)?;
                return Ok(None);
            }
        };
        file.sync_data().map_err(failed)?;
        self.disk.rename(&part, &path).map_err(failed)?;
        self.disk.sync_dir(self.log.dir()).map_err(failed)?;
        self.log.truncate_fully_and_start_at(id.end_offset, now_ms)?;
        self.log.flush()?;
        self.drop_older_than(id)?;
        self.snapshot = Some(id);
        self.bytes_since_snapshot = 0;
        let (voters, version) = content.voters.unwrap_or_else(|| (self.static_voters.clone(), 0));
        self.is_dynamic = version > 0;
        Ok(Some(LogView::from_snapshot(id, voters, version)))
    }

    pub(super) fn newest_snapshot(
        &self,
    ) -> Result<Option<(SnapshotId, SnapshotContent)>, OpenError> {
        let newest = self.snapshots().map_err(|error| self.disk_error(error))?.pop();
        let Some(id) = newest else { return Ok(None) };
        let path = self.log.dir().join(id.to_string());
        let bytes = self.disk.read(&path).map_err(|error| self.disk_error(error))?;
        let content =
            snapshot::decode(&bytes.into(), &path).map_err(|reason| self.unusable(reason))?;
        Ok(Some((id, content)))
    }

    fn drop_older_than(&self, id: SnapshotId) -> Result<(), StorageError> {
        let failed = |source| self.disk_error(source);
        for older in self.snapshots().map_err(failed)?.into_iter().filter(|other| *other < id) {
            self.disk.remove_file(&self.log.dir().join(older.to_string())).map_err(failed)?;
        }
        Ok(())
    }

    fn snapshots(&self) -> std::io::Result<Vec<SnapshotId>> {
        let entries = self.disk.list(self.log.dir())?;
        let mut ids: Vec<_> =
            entries.iter().filter_map(|entry| SnapshotId::from_file_name(&entry.name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}
