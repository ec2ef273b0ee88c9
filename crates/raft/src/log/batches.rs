//! Batches of the metadata log as bytes, and back.

use bytes::{Bytes, BytesMut};
use kalda_model::{BrokerId, LeaderEpoch, Offset, Uuid};
use kalda_protocol::stored::metadata::MetadataRecord;
use kalda_protocol::stored::raft::voters as wire;
use kalda_protocol::stored::raft::{
    ControlRecord, KRaftVersionRecord, LeaderChangeMessage, VotersRecord, leader_change,
};
use kalda_records::{BatchBuilder, BatchIter, BatchOptions, BatchView, ControlType};

use crate::quorum::{Batch, Body, Control, ReplicaKey, Voter, VoterEndpoint, VoterSet};

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

/// A batch of control records.
pub(crate) fn control_batch(
    records: &[ControlRecord],
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
    for record in records {
        let value = record.encode_value().map_err(std::io::Error::other)?;
        batch.append(now_ms, Some(&record.encode_key()), Some(&value), &[]);
    }
    batch.build()
}

/// The bytes of a batch that the quorum decided on.
pub(super) fn encode(batch: &Batch, is_dynamic: bool, now_ms: i64) -> std::io::Result<Bytes> {
    match (&batch.encoded, &batch.body) {
        (Some(bytes), _) | (None, Body::Data(bytes)) => Ok(bytes.clone()),
        (None, Body::Control(controls)) => {
            let records: Vec<_> =
                controls.iter().map(|control| control_record(control, is_dynamic)).collect();
            control_batch(&records, batch.base_offset, batch.epoch, now_ms)
        }
    }
}

/// The batches of a piece of the log. What is cut off at its end is left out.
///
/// # Errors
/// A batch is damaged, or a control record cannot be understood.
pub fn decode_batches(bytes: &Bytes) -> Result<Vec<Batch>, String> {
    let mut batches = Vec::new();
    let mut at = 0;
    for view in BatchIter::new(bytes) {
        let view = match view {
            Ok(view) => view,
            Err(kalda_records::MalformedBatch::Incomplete { .. }) => break,
            Err(error) => return Err(error.to_string()),
        };
        if !view.is_intact() {
            return Err(format!("the batch at offset {} is damaged", view.base_offset()));
        }
        let encoded = bytes.slice(at..at + view.size());
        at += view.size();
        batches.push(batch_of(&view, encoded)?);
    }
    Ok(batches)
}

/// One batch, as the quorum sees it.
pub(crate) fn batch_of(view: &BatchView<'_>, encoded: Bytes) -> Result<Batch, String> {
    let record_count = view.next_offset().0 - view.base_offset().0;
    let (body, encoded) = if view.is_control() {
        (Body::Control(controls_of(view)?), Some(encoded))
    } else {
        (Body::Data(encoded), None)
    };
    let (base_offset, epoch) = (view.base_offset(), view.leader_epoch());
    Ok(Batch { base_offset, record_count, epoch, body, encoded })
}

fn controls_of(view: &BatchView<'_>) -> Result<Vec<Control>, String> {
    control_records(view)?.into_iter().map(|record| control(&record)).collect()
}

/// The control records of a batch.
pub(crate) fn control_records(view: &BatchView<'_>) -> Result<Vec<ControlRecord>, String> {
    let mut records = Vec::new();
    for record in view.records() {
        let record = record.map_err(|error| error.to_string())?;
        let part = |bytes: Option<&[u8]>| Bytes::copy_from_slice(bytes.unwrap_or_default());
        let decoded = ControlRecord::decode(part(record.key), part(record.value));
        records.push(decoded.map_err(|error| format!("record {}: {error}", record.offset))?);
    }
    Ok(records)
}

fn control(record: &ControlRecord) -> Result<Control, String> {
    match record {
        ControlRecord::LeaderChange(change) => {
            let key = |voter: &leader_change::Voter| ReplicaKey {
                id: BrokerId(voter.voter_id),
                directory: known(voter.voter_directory_id),
            };
            Ok(Control::LeaderChange {
                leader: BrokerId(change.leader_id),
                voters: change.voters.iter().map(key).collect(),
                granting: change.granting_voters.iter().map(|it| BrokerId(it.voter_id)).collect(),
            })
        }
        ControlRecord::Voters(record) => Ok(Control::Voters(voter_set(record))),
        ControlRecord::KRaftVersion(record) => Ok(Control::KRaftVersion(record.kraft_version)),
        ControlRecord::SnapshotHeader(_) | ControlRecord::SnapshotFooter(_) => {
            Err("a record of a snapshot is in the log".to_owned())
        }
    }
}

/// A control record as it is written under `kraft.version` 0, or above it.
pub(crate) fn control_record(control: &Control, is_dynamic: bool) -> ControlRecord {
    match control {
        Control::LeaderChange { leader, voters, granting } => {
            let voter = |key: &ReplicaKey| leader_change::Voter {
                voter_id: key.id.0,
                voter_directory_id: key.directory.unwrap_or(Uuid::ZERO),
            };
            let granted = |id: &BrokerId| {
                let key = voters.iter().find(|key| key.id == *id);
                voter(key.unwrap_or(&ReplicaKey { id: *id, directory: None }))
            };
            ControlRecord::LeaderChange(LeaderChangeMessage {
                version: i16::from(is_dynamic),
                leader_id: leader.0,
                voters: voters.iter().map(voter).collect(),
                granting_voters: granting.iter().map(granted).collect(),
            })
        }
        Control::Voters(voters) => ControlRecord::Voters(voters_record(voters)),
        Control::KRaftVersion(version) => {
            ControlRecord::KRaftVersion(KRaftVersionRecord { version: 0, kraft_version: *version })
        }
    }
}

/// The record that names `voters`.
pub(crate) fn voters_record(voters: &VoterSet) -> VotersRecord {
    let voter = |voter: &Voter| wire::Voter {
        voter_id: voter.key.id.0,
        voter_directory_id: voter.key.directory.unwrap_or(Uuid::ZERO),
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_version_feature: wire::KRaftVersionFeature {
            min_supported_version: voter.kraft_versions.0,
            max_supported_version: voter.kraft_versions.1,
        },
    };
    VotersRecord { version: 0, voters: voters.iter().map(voter).collect() }
}

fn endpoint(endpoint: &VoterEndpoint) -> wire::Endpoint {
    wire::Endpoint {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    }
}

/// The voters that a record names.
pub(crate) fn voter_set(record: &VotersRecord) -> VoterSet {
    let endpoint = |endpoint: &wire::Endpoint| VoterEndpoint {
        listener: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    VoterSet::new(record.voters.iter().map(|voter| Voter {
        key: ReplicaKey {
            id: BrokerId(voter.voter_id),
            directory: known(voter.voter_directory_id),
        },
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_versions: (
            voter.kraft_version_feature.min_supported_version,
            voter.kraft_version_feature.max_supported_version,
        ),
    }))
}

fn known(directory: Uuid) -> Option<Uuid> {
    (directory != Uuid::ZERO).then_some(directory)
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

/// One batch after the other, as a log holds them.
pub(crate) fn concatenate(batches: &[Bytes]) -> Bytes {
    match batches {
        [only] => only.clone(),
        several => {
            let mut all = BytesMut::new();
            several.iter().for_each(|bytes| all.extend_from_slice(bytes));
            all.freeze()
        }
    }
}

/// Whether a control batch ends a snapshot.
pub(crate) fn is_footer(view: &BatchView<'_>) -> bool {
    let keys = view.records().filter_map(Result::ok).filter_map(|record| record.key);
    keys.into_iter().any(|key| ControlType::from_key(key) == Some(ControlType::SnapshotFooter))
}
