//! Fetch and FetchSnapshot as other replicas send them.

use bytes::Bytes;
use kalda_model::{BrokerId, LeaderEpoch, Offset, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData, SnapshotId,
};
use kalda_protocol::messages::fetch_snapshot;
use kalda_raft::quorum::{
    FetchRequest as Wanted, FetchSnapshotRequest as WantedSnapshot, OffsetAndEpoch, ReplicaKey,
    Request, ResponseBody,
};

use super::answers::{TOPIC, code};
use crate::quorum::Asked;

/// What a replica wants; none if it is not the metadata that it wants.
pub(crate) fn fetch_request(request: &FetchRequest, version: i16) -> Option<Request> {
    let [topic] = &request.topics[..] else { return None };
    let is_named =
        if version >= 13 { topic.topic_id == Uuid::METADATA_TOPIC } else { topic.topic == TOPIC };
    let [partition] = &topic.partitions[..] else { return None };
    if !is_named || partition.partition != 0 {
        return None;
    }
    let id = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
    let directory = partition.replica_directory_id;
    Some(Request::Fetch(Wanted {
        replica: ReplicaKey {
            id: BrokerId(id),
            directory: (directory != Uuid::ZERO).then_some(directory),
        },
        epoch: LeaderEpoch(partition.current_leader_epoch),
        end: OffsetAndEpoch {
            epoch: LeaderEpoch(partition.last_fetched_epoch.max(0)),
            offset: Offset(partition.fetch_offset),
        },
        high_watermark: Offset(partition.high_watermark),
        wait_ms_max: i64::from(request.max_wait_ms),
    }))
}

/// The answer to it.
pub(crate) fn fetch_response(asked: Asked) -> FetchResponse {
    let Asked { response, records, leader_address, log_start } = asked;
    let leader_id = response.leader.map_or(-1, |leader| leader.0);
    let mut part = PartitionData {
        partition_index: 0,
        error_code: code(response.refusal).code(),
        high_watermark: -1,
        log_start_offset: log_start.0,
        current_leader: LeaderIdAndEpoch { leader_id, leader_epoch: response.epoch.0 },
        records: Some(records),
        ..PartitionData::default()
    };
    if let ResponseBody::Fetch(fetched) = response.body {
        part.high_watermark = fetched.high_watermark.0;
        part.last_stable_offset = fetched.high_watermark.0;
        if let Some(diverging) = fetched.diverging {
            part.diverging_epoch =
                EpochEndOffset { epoch: diverging.epoch.0, end_offset: diverging.offset.0 };
        }
        if let Some(snapshot) = fetched.snapshot {
            part.snapshot_id =
                SnapshotId { end_offset: snapshot.end_offset.0, epoch: snapshot.epoch.0 };
        }
    }
    let node = leader_address.map(|address| NodeEndpoint {
        node_id: leader_id,
        host: address.host,
        port: i32::from(address.port),
        rack: None,
    });
    FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: TOPIC.to_owned(),
            topic_id: Uuid::METADATA_TOPIC,
            partitions: vec![part],
        }],
        node_endpoints: node.into_iter().collect(),
        ..FetchResponse::default()
    }
}

/// Which piece of which snapshot a replica wants.
pub(crate) fn snapshot_request(
    request: &fetch_snapshot::FetchSnapshotRequest,
) -> Result<Request, ErrorCode> {
    let [topic] = &request.topics[..] else { return Err(ErrorCode::InvalidRequest) };
    let [partition] = &topic.partitions[..] else { return Err(ErrorCode::InvalidRequest) };
    if topic.name != TOPIC || partition.partition != 0 {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let position = u64::try_from(partition.position).map_err(|_| ErrorCode::PositionOutOfRange)?;
    let directory = partition.replica_directory_id;
    Ok(Request::FetchSnapshot(WantedSnapshot {
        replica: ReplicaKey {
            id: BrokerId(request.replica_id),
            directory: (directory != Uuid::ZERO).then_some(directory),
        },
        epoch: LeaderEpoch(partition.current_leader_epoch),
        id: kalda_raft::SnapshotId {
            end_offset: Offset(partition.snapshot_id.end_offset),
            epoch: LeaderEpoch(partition.snapshot_id.epoch),
        },
        position,
    }))
}

/// The answer to it, no more than `max_bytes` of the snapshot.
pub(crate) fn snapshot_response(
    asked: Asked,
    max_bytes: i32,
) -> fetch_snapshot::FetchSnapshotResponse {
    let Asked { response, leader_address, .. } = asked;
    let leader_id = response.leader.map_or(-1, |leader| leader.0);
    let mut part = fetch_snapshot::ResponsePartitionSnapshot {
        error_code: code(response.refusal).code(),
        current_leader: fetch_snapshot::LeaderIdAndEpoch {
            leader_id,
            leader_epoch: response.epoch.0,
        },
        ..Default::default()
    };
    if let ResponseBody::FetchSnapshot(piece) = response.body {
        let upto = piece.bytes.len().min(usize::try_from(max_bytes).unwrap_or(0));
        part.snapshot_id = fetch_snapshot::SnapshotId {
            end_offset: piece.id.end_offset.0,
            epoch: piece.id.epoch.0,
        };
        part.size = i64::try_from(piece.size).unwrap_or(i64::MAX);
        part.position = i64::try_from(piece.position).unwrap_or(i64::MAX);
        part.unaligned_records = Bytes::slice(&piece.bytes, ..upto);
    }
    let node = leader_address.map(|address| fetch_snapshot::NodeEndpoint {
        node_id: leader_id,
        host: address.host,
        port: address.port,
    });
    fetch_snapshot::FetchSnapshotResponse {
        topics: vec![fetch_snapshot::ResponseTopicSnapshot {
            name: TOPIC.to_owned(),
            partitions: vec![part],
        }],
        node_endpoints: node.into_iter().collect(),
        ..Default::default()
    }
}
