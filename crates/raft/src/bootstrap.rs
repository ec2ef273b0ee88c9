//! `bootstrap.checkpoint`: the first records of a cluster that is yet to begin, as
//! `kafka-storage format` leaves them in every log directory.
//!
//! Written by the storage tool, read by the first active controller of a new cluster.

use std::path::Path;

use kalda_env::Disk;
use kalda_model::LeaderEpoch;
use kalda_protocol::stored::metadata::MetadataRecord;
use kalda_storage::StorageError;

use crate::log::OpenError;
use crate::snapshot::{self, SnapshotContent};

const FILE: &str = "bootstrap.checkpoint";

/// Writes the file, durably.
///
/// # Errors
/// The disk failed.
pub fn write_bootstrap(
    disk: &dyn Disk,
    log_dir: &Path,
    records: Vec<MetadataRecord>,
    now_ms: i64,
) -> Result<(), StorageError> {
    let path = log_dir.join(FILE);
    let content = SnapshotContent { records, voters: None };
    let written = snapshot::encode(&content, LeaderEpoch(0), now_ms, now_ms)
        .and_then(|bytes| disk.replace(&path, &bytes));
    written.map_err(|source| StorageError::Disk { path, source })
}

/// Reads the file; `None` if there is none.
///
/// # Errors
/// The disk failed, or the file is damaged.
pub fn read_bootstrap(
    disk: &dyn Disk,
    log_dir: &Path,
) -> Result<Option<Vec<MetadataRecord>>, OpenError> {
    let path = log_dir.join(FILE);
    if !disk.exists(&path) {
        return Ok(None);
    }
    let bytes = disk
        .read(&path)
        .map_err(|source| OpenError::Storage(StorageError::Disk { path: path.clone(), source }))?;
    let content = snapshot::decode(&bytes.into(), &path);
    let content = content.map_err(|reason| OpenError::Unusable { path, reason })?;
    Ok(Some(content.records))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_protocol::stored::metadata::FeatureLevelRecord;
    use kalda_storage::fault_disk::FaultDisk;

    #[test]
    fn records_are_read_as_they_were_written_and_damage_is_seen() {
        let disk = FaultDisk::default();
        let dir = Path::new("/data");
        disk.create_dir_all(dir).unwrap();
        assert_eq!(read_bootstrap(&disk, dir).unwrap(), None);
        let record = FeatureLevelRecord { name: "group.version".to_owned(), feature_level: 1 };
        let records = vec![MetadataRecord::FeatureLevel(record)];
        write_bootstrap(&disk, dir, records.clone(), 5).unwrap();
        assert_eq!(read_bootstrap(&disk, dir).unwrap(), Some(records));
        let mut bytes = disk.read(&dir.join(FILE)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        disk.replace(&dir.join(FILE), &bytes).unwrap();
        assert!(read_bootstrap(&disk, dir).is_err());
    }
}
