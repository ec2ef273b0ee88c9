//! `<end offset>-<epoch>.checkpoint` files: the metadata as records, between a header and a footer
//! (KIP-630). Offsets inside count from 0 and are not the log's.

use std::fmt;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::stored::metadata::MetadataRecord;
use kalda_protocol::stored::raft::{ControlRecord, SnapshotFooterRecord, SnapshotHeaderRecord};
use kalda_records::BatchIter;

use crate::log::batches::{
    control_batch, control_record, control_records, data_batch, is_footer, records_of, voter_set,
};
use crate::quorum::{Control, VoterSet};

/// Most records of one batch of a snapshot, as Kafka writes them.
const RECORDS_PER_BATCH: usize = 1024;
const SUFFIX: &str = ".checkpoint";

/// What a snapshot reaches up to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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

/// What a snapshot holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct SnapshotContent {
    /// The metadata.
    pub(crate) records: Vec<MetadataRecord>,
    /// The voters as records name them, and the `kraft.version`; none where the voters are static.
    pub(crate) voters: Option<(VoterSet, i16)>,
}

/// The bytes of a snapshot.
pub(crate) fn encode(
    content: &SnapshotContent,
    epoch: LeaderEpoch,
    last_timestamp: i64,
    now_ms: i64,
) -> std::io::Result<Bytes> {
    let mut out = BytesMut::new();
    let mut head = vec![ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
        version: 0,
        last_contained_log_timestamp: last_timestamp,
    })];
    if let Some((voters, kraft_version)) = &content.voters {
        head.push(control_record(&Control::KRaftVersion(*kraft_version), true));
        head.push(control_record(&Control::Voters(voters.clone()), true));
    }
    out.extend_from_slice(&control_batch(&head, Offset::ZERO, epoch, now_ms)?);
    let mut offset = Offset::ZERO.plus(i64::try_from(head.len()).unwrap_or(i64::MAX));
    for chunk in content.records.chunks(RECORDS_PER_BATCH) {
        out.extend_from_slice(&data_batch(chunk, offset, epoch, now_ms)?);
        offset = offset.plus(i64::try_from(chunk.len()).unwrap_or(i64::MAX));
    }
    let footer = [ControlRecord::SnapshotFooter(SnapshotFooterRecord { version: 0 })];
    out.extend_from_slice(&control_batch(&footer, offset, epoch, now_ms)?);
    Ok(out.freeze())
}

/// What a snapshot holds.
///
/// # Errors
/// A batch is damaged or undecodable, or the footer is missing: the file was not finished.
pub(crate) fn decode(bytes: &Bytes, path: &Path) -> Result<SnapshotContent, String> {
    let at = |error: String| format!("{}: {error}", path.display());
    let mut content = SnapshotContent::default();
    let (mut voters, mut version) = (None, 0);
    let mut is_finished = false;
    for batch in BatchIter::new(bytes) {
        let batch = batch.map_err(|error| at(error.to_string()))?;
        if !batch.is_intact() {
            return Err(at("a batch fails its checksum".to_owned()));
        }
        if !batch.is_control() {
            content.records.extend(records_of(&batch).map_err(at)?);
            continue;
        }
        is_finished |= is_footer(&batch);
        for record in control_records(&batch).map_err(at)? {
            match record {
                ControlRecord::KRaftVersion(record) => version = record.kraft_version,
                ControlRecord::Voters(record) => voters = Some(voter_set(&record)),
                _ => {}
            }
        }
    }
    content.voters = voters.map(|voters| (voters, version));
    if is_finished { Ok(content) } else { Err(format!("{} has no footer", path.display())) }
}

#[cfg(test)]
mod tests {
    use kalda_model::{BrokerId, Uuid};
    use kalda_protocol::stored::metadata::FeatureLevelRecord;

    use super::*;
    use crate::quorum::{ReplicaKey, Voter};

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
        let key = ReplicaKey { id: BrokerId(1), directory: Some(Uuid(7)) };
        let voter = Voter { key, endpoints: Vec::new(), kraft_versions: (0, 1) };
        let voters = Some((VoterSet::new([voter]), 1));
        let content = SnapshotContent { records: vec![record; 3000], voters };
        let bytes = encode(&content, LeaderEpoch(3), 5, 9).unwrap();
        let path = Path::new("snapshot");
        assert_eq!(decode(&bytes, path).unwrap(), content);
        let footer_len = bytes.len() - 80;
        assert!(decode(&bytes.slice(..footer_len), path).is_err());
    }
}
