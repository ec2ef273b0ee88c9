//! Questions of this replica to others, sent and answered.

use kalda_client::HostPort;
use kalda_model::{BrokerId, LeaderEpoch, Uuid};
use kalda_protocol::messages::{
    add_raft_voter, begin_quorum_epoch, end_quorum_epoch, fetch, fetch_snapshot, remove_raft_voter,
    update_raft_voter, vote,
};
use kalda_raft::decode_batches;
use kalda_raft::quorum::{
    FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse, OffsetAndEpoch,
    ReplicaKey, Request, Response, ResponseBody, VoteRequest,
};

use super::answers::{TOPIC, endpoints, refusal};
use super::epochs::own_endpoints;
use crate::broker::Broker;
use crate::peer::{Link, PeerError};

/// An answer, and where nodes are that it names.
type Answered = (Response, Vec<(BrokerId, HostPort)>);

/// Asks another replica.
pub(crate) async fn ask(
    broker: &Broker,
    link: &Link,
    to: BrokerId,
    request: &Request,
) -> Result<Answered, PeerError> {
    let cluster_id = Some(broker.cluster_id.clone());
    match request {
        Request::Vote(vote) => ask_vote(link, to, vote, cluster_id).await,
        Request::BeginQuorumEpoch { voter, leader, epoch } => {
            let partition = begin_quorum_epoch::RequestPartitionData {
                partition_index: 0,
                voter_directory_id: id_of(voter),
                leader_id: leader.0,
                leader_epoch: epoch.0,
            };
            let topic = begin_quorum_epoch::RequestTopicData {
                topic_name: TOPIC.to_owned(),
                partitions: vec![partition],
            };
            let request = begin_quorum_epoch::BeginQuorumEpochRequest {
                cluster_id,
                voter_id: to.0,
                topics: vec![topic],
                leader_endpoints: own_endpoints(broker),
            };
            let answer = link.call(&request).await?;
            of_epoch(answer.error_code, &answer.topics, &answer.node_endpoints)
        }
        Request::EndQuorumEpoch { leader, epoch, preferred_successors } => {
            let candidate = |key: &ReplicaKey| end_quorum_epoch::ReplicaInfo {
                candidate_id: key.id.0,
                candidate_directory_id: id_of(key),
            };
            let partition = end_quorum_epoch::RequestPartitionData {
                partition_index: 0,
                leader_id: leader.0,
                leader_epoch: epoch.0,
                preferred_successors: preferred_successors.iter().map(|key| key.id.0).collect(),
                preferred_candidates: preferred_successors.iter().map(candidate).collect(),
            };
            let topic = end_quorum_epoch::RequestTopicData {
                topic_name: TOPIC.to_owned(),
                partitions: vec![partition],
            };
            let request = end_quorum_epoch::EndQuorumEpochRequest {
                cluster_id,
                topics: vec![topic],
                leader_endpoints: own_endpoints(broker),
            };
            let answer = link.call(&request).await?;
            of_epoch(answer.error_code, &answer.topics, &answer.node_endpoints)
        }
        Request::Fetch(fetch) => ask_fetch(link, fetch, cluster_id).await,
        Request::FetchSnapshot(fetch) => ask_snapshot(link, fetch, cluster_id).await,
        Request::AddVoter { voter, timeout_ms } => {
            let listener = voter.endpoints.iter().map(|at| add_raft_voter::Listener {
                name: at.listener.clone(),
                host: at.host.clone(),
                port: at.port,
            });
            let request = add_raft_voter::AddRaftVoterRequest {
                cluster_id,
                timeout_ms: i32::try_from(*timeout_ms).unwrap_or(i32::MAX),
                voter_id: voter.key.id.0,
                voter_directory_id: id_of(&voter.key),
                listeners: listener.collect(),
            };
            plain(link.call(&request).await?.error_code, None, Vec::new())
        }
        Request::RemoveVoter { voter } => {
            let request = remove_raft_voter::RemoveRaftVoterRequest {
                cluster_id,
                voter_id: voter.id.0,
                voter_directory_id: id_of(voter),
            };
            plain(link.call(&request).await?.error_code, None, Vec::new())
        }
        Request::UpdateVoter { epoch, voter } => {
            let listener = voter.endpoints.iter().map(|at| update_raft_voter::Listener {
                name: at.listener.clone(),
                host: at.host.clone(),
                port: at.port,
            });
            let request = update_raft_voter::UpdateRaftVoterRequest {
                cluster_id,
                current_leader_epoch: epoch.0,
                voter_id: voter.key.id.0,
                voter_directory_id: id_of(&voter.key),
                listeners: listener.collect(),
                kraft_version_feature: update_raft_voter::KRaftVersionFeature {
                    min_supported_version: voter.kraft_versions.0,
                    max_supported_version: voter.kraft_versions.1,
                },
            };
            let answer = link.call(&request).await?;
            let leader = &answer.current_leader;
            plain(answer.error_code, Some((0, leader.leader_id, leader.leader_epoch)), Vec::new())
        }
    }
}

async fn ask_vote(
    link: &Link,
    to: BrokerId,
    vote: &VoteRequest,
    cluster_id: Option<String>,
) -> Result<Answered, PeerError> {
    let partition = vote::RequestPartitionData {
        partition_index: 0,
        replica_epoch: vote.epoch.0,
        replica_id: vote.candidate.id.0,
        replica_directory_id: id_of(&vote.candidate),
        voter_directory_id: id_of(&vote.voter),
        last_offset_epoch: vote.last.epoch.0,
        last_offset: vote.last.offset.0,
        pre_vote: vote.pre_vote,
    };
    let topic =
        vote::RequestTopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] };
    let request = vote::VoteRequest { cluster_id, voter_id: to.0, topics: vec![topic] };
    let answer = link.call(&request).await?;
    let part = answer.topics.first().and_then(|topic| topic.partitions.first());
    let granted = part.is_some_and(|part| part.vote_granted);
    let head = part.map(|it| (it.error_code, it.leader_id, it.leader_epoch));
    let body = ResponseBody::Vote { granted };
    response(answer.error_code, head, body, endpoints(&answer.node_endpoints))
}

async fn ask_fetch(
    link: &Link,
    asked: &FetchRequest,
    cluster_id: Option<String>,
) -> Result<Answered, PeerError> {
    let partition = fetch::FetchPartition {
        partition: 0,
        current_leader_epoch: asked.epoch.0,
        fetch_offset: asked.end.offset.0,
        last_fetched_epoch: asked.end.epoch.0,
        log_start_offset: -1,
        partition_max_bytes: 0,
        replica_directory_id: id_of(&asked.replica),
        high_watermark: asked.high_watermark.0,
    };
    let topic = fetch::FetchTopic {
        topic: TOPIC.to_owned(),
        topic_id: Uuid::METADATA_TOPIC,
        partitions: vec![partition],
    };
    let is_old = link.version::<fetch::FetchRequest>()? < 15;
    let replica = asked.replica.id.0;
    let request = fetch::FetchRequest {
        cluster_id,
        replica_id: if is_old { replica } else { -1 },
        replica_state: match is_old {
            true => fetch::ReplicaState::default(),
            false => fetch::ReplicaState { replica_id: replica, replica_epoch: -1 },
        },
        max_wait_ms: i32::try_from(asked.wait_ms_max).unwrap_or(i32::MAX),
        min_bytes: 0,
        max_bytes: i32::MAX,
        topics: vec![topic],
        ..fetch::FetchRequest::default()
    };
    let mut answer = link.call(&request).await?;
    let nodes = answer.node_endpoints.iter().filter_map(|node| {
        let port = u16::try_from(node.port).ok()?;
        Some((BrokerId(node.node_id), HostPort { host: node.host.clone(), port }))
    });
    let nodes = nodes.collect();
    let part = answer.responses.first_mut().and_then(|topic| topic.partitions.first_mut());
    let Some(part) = part else {
        return response(answer.error_code, None, ResponseBody::Plain, nodes);
    };
    let leader = &part.current_leader;
    let head = Some((part.error_code, leader.leader_id, leader.leader_epoch));
    let diverging = &part.diverging_epoch;
    let snapshot = &part.snapshot_id;
    let records = part.records.take().unwrap_or_default();
    let batches = decode_batches(&records)
        .map_err(|why| PeerError::Client(kalda_client::Error::CorruptRecord(why)))?;
    let body = FetchResponse {
        high_watermark: kalda_model::Offset(part.high_watermark.max(0)),
        diverging: (diverging.end_offset >= 0).then_some(OffsetAndEpoch {
            epoch: LeaderEpoch(diverging.epoch),
            offset: kalda_model::Offset(diverging.end_offset),
        }),
        snapshot: (snapshot.end_offset >= 0).then_some(kalda_raft::SnapshotId {
            end_offset: kalda_model::Offset(snapshot.end_offset),
            epoch: LeaderEpoch(snapshot.epoch),
        }),
        batches,
    };
    response(answer.error_code, head, ResponseBody::Fetch(body), nodes)
}

async fn ask_snapshot(
    link: &Link,
    asked: &FetchSnapshotRequest,
    cluster_id: Option<String>,
) -> Result<Answered, PeerError> {
    let partition = fetch_snapshot::RequestPartitionSnapshot {
        partition: 0,
        current_leader_epoch: asked.epoch.0,
        snapshot_id: fetch_snapshot::SnapshotId {
            end_offset: asked.id.end_offset.0,
            epoch: asked.id.epoch.0,
        },
        position: i64::try_from(asked.position).unwrap_or(i64::MAX),
        replica_directory_id: id_of(&asked.replica),
    };
    let topic = fetch_snapshot::RequestTopicSnapshot {
        name: TOPIC.to_owned(),
        partitions: vec![partition],
    };
    let request = fetch_snapshot::FetchSnapshotRequest {
        cluster_id,
        replica_id: asked.replica.id.0,
        topics: vec![topic],
        ..fetch_snapshot::FetchSnapshotRequest::default()
    };
    let answer = link.call(&request).await?;
    let nodes = endpoints(&answer.node_endpoints);
    let part = answer.topics.first().and_then(|topic| topic.partitions.first());
    let Some(part) = part else {
        return response(answer.error_code, None, ResponseBody::Plain, nodes);
    };
    let leader = &part.current_leader;
    let head = Some((part.error_code, leader.leader_id, leader.leader_epoch));
    let body = FetchSnapshotResponse {
        id: kalda_raft::SnapshotId {
            end_offset: kalda_model::Offset(part.snapshot_id.end_offset),
            epoch: LeaderEpoch(part.snapshot_id.epoch),
        },
        position: u64::try_from(part.position).unwrap_or(u64::MAX),
        size: u64::try_from(part.size).unwrap_or(0),
        bytes: part.unaligned_records.clone(),
    };
    response(answer.error_code, head, ResponseBody::FetchSnapshot(body), nodes)
}

/// The answer to both messages of a leader.
fn of_epoch(
    error: i16,
    topics: &[begin_quorum_epoch::ResponseTopicData],
    nodes: &[begin_quorum_epoch::NodeEndpoint],
) -> Result<Answered, PeerError> {
    let part = topics.first().and_then(|topic| topic.partitions.first());
    let part = part.map(|it| (it.error_code, it.leader_id, it.leader_epoch));
    plain(error, part, endpoints(nodes))
}

fn plain(
    error: i16,
    part: Option<(i16, i32, i32)>,
    nodes: Vec<(BrokerId, HostPort)>,
) -> Result<Answered, PeerError> {
    response(error, part, ResponseBody::Plain, nodes)
}

/// Puts together an answer from its error, and the error, leader and epoch of its only partition.
fn response(
    error: i16,
    part: Option<(i16, i32, i32)>,
    body: ResponseBody,
    nodes: Vec<(BrokerId, HostPort)>,
) -> Result<Answered, PeerError> {
    let (part_error, leader, epoch) = part.unwrap_or((error, -1, -1));
    let error = if error == 0 { part_error } else { error };
    let refusal = refusal(error)?;
    let leader = (leader >= 0).then_some(BrokerId(leader));
    Ok((Response { refusal, epoch: LeaderEpoch(epoch), leader, body }, nodes))
}

fn id_of(key: &ReplicaKey) -> Uuid {
    key.directory.unwrap_or(Uuid::ZERO)
}
