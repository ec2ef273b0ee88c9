//! DescribeQuorum (key 55, v0–2, KIP-836, KIP-853): the leader of the metadata quorum tells how far
//! its replicas are. A broker passes the question on.

use kalda_model::{BrokerId, CLUSTER_METADATA_TOPIC, Offset, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, ReplicaState,
    ResponsePartitionData, ResponseTopicData,
};
use kalda_raft::quorum::ReplicaProgress;

use crate::dispatch::{Handle, RequestContext};
use crate::peer::{Link, ask_active};
use crate::quorum::Description;

impl Handle for DescribeQuorumRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeQuorumResponse {
        let is_metadata = self.topics.len() == 1
            && self.topics[0].topic_name == CLUSTER_METADATA_TOPIC
            && self.topics[0].partitions.iter().all(|it| it.partition_index == 0);
        if !is_metadata {
            return failed(ErrorCode::UnknownTopicOrPartition, None);
        }
        if cx.broker.is_controller_listener(&cx.peer) {
            return here(cx).await;
        }
        let here = async || of_leader(here(cx).await);
        let there = async |link: Link| Ok(of_leader(link.call(&self).await?));
        match ask_active(&cx.broker, here, there).await {
            Ok(told) => told.answer,
            Err(error) => failed(ErrorCode::RequestTimedOut, Some(error.to_string())),
        }
    }
}

/// The answer, if it is the leader's.
fn of_leader(answer: DescribeQuorumResponse) -> Option<DescribeQuorumResponse> {
    let mut parts = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let is_elsewhere = parts.any(|it| it.error_code == ErrorCode::NotLeaderOrFollower.code());
    (!is_elsewhere).then_some(answer)
}

fn failed(error: ErrorCode, message: Option<String>) -> DescribeQuorumResponse {
    DescribeQuorumResponse {
        error_code: error.code(),
        error_message: message,
        ..DescribeQuorumResponse::default()
    }
}

async fn here(cx: &RequestContext) -> DescribeQuorumResponse {
    let Some(description) = cx.broker.quorum.describe().await else {
        return failed(ErrorCode::BrokerNotAvailable, None);
    };
    let mut part = ResponsePartitionData {
        leader_id: description.leader.map_or(-1, |leader| leader.0),
        leader_epoch: description.epoch.0,
        high_watermark: -1,
        ..ResponsePartitionData::default()
    };
    let mut nodes = Vec::new();
    if description.is_leader {
        let wall_ms = cx.broker.clock.wall_ms();
        let state = |it: &ReplicaProgress| state(it, &description, wall_ms, cx.broker.node);
        let (voters, observers): (Vec<_>, Vec<_>) =
            description.replicas.iter().partition(|replica| replica.is_voter);
        part.high_watermark = description.high_watermark.0;
        part.current_voters = voters.into_iter().map(state).collect();
        part.observers = observers.into_iter().map(state).collect();
        // Before v2 there is no word for either.
        if cx.version < 2 {
            let all = part.current_voters.iter_mut().chain(&mut part.observers);
            all.for_each(|replica| replica.replica_directory_id = Uuid::ZERO);
        } else {
            nodes = voter_nodes(cx, &description);
        }
    } else {
        part.error_code = ErrorCode::NotLeaderOrFollower.code();
    }
    DescribeQuorumResponse {
        topics: vec![ResponseTopicData {
            topic_name: CLUSTER_METADATA_TOPIC.to_owned(),
            partitions: vec![part],
        }],
        nodes,
        ..DescribeQuorumResponse::default()
    }
}

/// How far one replica is. The leader has everything, now.
fn state(
    replica: &ReplicaProgress,
    description: &Description,
    wall_ms: i64,
    leader: BrokerId,
) -> ReplicaState {
    let at = |ms: Option<i64>| match ms {
        _ if replica.replica.id == leader => wall_ms,
        Some(ms) => wall_ms - (description.now_ms - ms),
        None => -1,
    };
    ReplicaState {
        replica_id: replica.replica.id.0,
        replica_directory_id: replica.replica.directory.unwrap_or(Uuid::ZERO),
        log_end_offset: replica.end_offset.unwrap_or(Offset(-1)).0,
        last_fetch_timestamp: at(replica.last_fetch_ms),
        last_caught_up_timestamp: at(replica.last_caught_up_ms),
    }
}

fn voter_nodes(cx: &RequestContext, description: &Description) -> Vec<Node> {
    let mut nodes = Vec::new();
    for voter in description.voters.iter() {
        let mut listeners: Vec<_> = voter
            .endpoints
            .iter()
            .map(|endpoint| Listener {
                name: endpoint.listener.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
            })
            .collect();
        let configured = description.addresses.iter().find(|(id, _)| *id == voter.key.id);
        if let Some((_, address)) = configured.filter(|_| listeners.is_empty()) {
            listeners.push(Listener {
                name: cx.broker.config.quorum.listener_names[0].clone(),
                host: address.host.clone(),
                port: address.port,
            });
        }
        nodes.push(Node { node_id: voter.key.id.0, listeners });
    }
    nodes
}
