//! `<end offset>-<epoch>.checkpoint` files: the metadata as records, between a header and a footer
//! (KIP-630). Offsets inside count from 0 and are not the log's.

use std::fmt;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::stored::metadata::MetadataRecord;
use kalda_protocol::stored::raft::{ControlRecord, SnapshotFooterRecord, SnapshotHeaderRecord};
use kalda_records::{BatchIter, ControlType};

use crate::log::{control_batch, data_batch, records_of};

/// Most records of one batch of a snapshot, as Kafka writes them.
const RECORDS_PER_BATCH: usize = 1024;
const SUFFIX: &str = ".checkpoint";

/// What a snapshot reaches up to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SnapshotId {
    /// The end (exclusive) of the records in it.
    pub end_offset: Offset,
    /// The epoch of the last record in it.
    pub epoch: LeaderEpoch,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}{SUFFIX}", self.end_offset.0, self.epoch.0)
    }
}

impl SnapshotId {
    /// Reads the name of a snapshot file.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (end_offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let id = Self {
            end_offset: Offset(end_offset.parse().ok()?),
            epoch: LeaderEpoch(epoch.parse().ok()?),
        };
        (id.to_string() == name).then_some(id)
    }
}

/// The bytes of a snapshot that holds `records`.
pub(crate) fn encode(
    records: &[MetadataRecord],
    epoch: LeaderEpoch,
    last_timestamp: i64,
    now_ms: i64,
) -> std::io::Result<Bytes> {
    let mut out = BytesMut::new();
    let mut offset = Offset::ZERO;
    let header = ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
        version: 0,
        last_contained_log_timestamp: last_timestamp,
    });
    out.extend_from_slice(&control_batch(
        &header,
        ControlType::SnapshotHeader,
        offset,
        epoch,
        now_ms,
    )?);
    offset = offset.plus(1);
    for chunk in records.chunks(RECORDS_PER_BATCH) {
        out.extend_from_slice(&data_batch(chunk, offset, epoch, now_ms)?);
        offset = offset.plus(i64::try_from(chunk.len()).unwrap_or(i64::MAX));
    }
    let footer = ControlRecord::SnapshotFooter(SnapshotFooterRecord { version: 0 });
    out.extend_from_slice(&control_batch(
        &footer,
        ControlType::SnapshotFooter,
        offset,
        epoch,
        now_ms,
    )?);
    Ok(out.freeze())
}

/// The records of a snapshot.
///
/// # Errors
/// A batch is damaged or undecodable, or the footer is missing: the file was not finished.
pub(crate) fn decode(bytes: &Bytes, path: &Path) -> Result<Vec<MetadataRecord>, String> {
    let mut records = Vec::new();
    let mut is_finished = false;
    for batch in BatchIter::new(bytes) {
        let batch = batch.map_err(|error| format!("{}: {error}", path.display()))?;
        if !batch.is_intact() {
            return Err(format!("{}: a batch fails its checksum", path.display()));
        }
        if batch.is_control() {
            let is_footer =
                |key: &[u8]| ControlType::from_key(key) == Some(ControlType::SnapshotFooter);
            let keys = batch.records().filter_map(Result::ok).filter_map(|record| record.key);
            is_finished |= keys.into_iter().any(is_footer);
        } else {
            records.extend(
                records_of(&batch).map_err(|error| format!("{}: {error}", path.display()))?,
            );
        }
    }
    if is_finished { Ok(records) } else { Err(format!("{} has no footer", path.display())) }
}

#[cfg(test)]
mod tests {
    use kalda_protocol::stored::metadata::FeatureLevelRecord;

    use super::*;

    #[test]
    fn names_are_kafkas() {
        let id = SnapshotId { end_offset: Offset(1234), epoch: LeaderEpoch(5) };
        assert_eq!(id.to_string(), "00000000000000001234-0000000005.checkpoint");
        assert_eq!(SnapshotId::from_file_name(&id.to_string()), Some(id));
        for name in ["1-2.checkpoint", "bootstrap.checkpoint", "00000000000000001234.log"] {
            assert_eq!(SnapshotId::from_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_snapshot_round_trips_and_an_unfinished_one_is_refused() {
        let record = MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: "metadata.version".into(),
            feature_level: 27,
        });
        let records = vec![record; 3000];
        let bytes = encode(&records, LeaderEpoch(3), 5, 9).unwrap();
        let path = Path::new("snapshot");
        assert_eq!(decode(&bytes, path).unwrap(), records);
        let footer_len = bytes.len() - 80;
        assert!(decode(&bytes.slice(..footer_len), path).is_err());
    }
}
