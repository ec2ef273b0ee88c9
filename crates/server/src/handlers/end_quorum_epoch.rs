//! EndQuorumEpoch (key 54, v0–1): the leader of the metadata quorum says goodbye, and who may follow it
//! (KIP-595, KIP-853).

use kalda_client::HostPort;
use kalda_model::{BrokerId, LeaderEpoch, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::end_quorum_epoch::{
    EndQuorumEpochRequest, EndQuorumEpochResponse, NodeEndpoint, ResponsePartitionData,
    ResponseTopicData,
};
use kalda_raft::quorum::{ReplicaKey, Request};

use crate::dispatch::{Handle, RequestContext};
use crate::quorum::Asked;
use crate::quorum::wire::{check_cluster, code};

impl Handle for EndQuorumEpochRequest {
    async fn handle(self, cx: &RequestContext) -> EndQuorumEpochResponse {
        let failed = |error: ErrorCode| EndQuorumEpochResponse {
            error_code: error.code(),
            ..EndQuorumEpochResponse::default()
        };
        if let Err(error) = check_cluster(&cx.broker, self.cluster_id.as_ref()) {
            return failed(error);
        }
        let topic = self.topics.first();
        let Some(said) = topic.and_then(|topic| topic.partitions.first()) else {
            return failed(ErrorCode::InvalidRequest);
        };
        let names = &cx.broker.config.quorum.listener_names;
        let named =
            self.leader_endpoints.iter().find(|it| names.contains(&it.name.to_ascii_uppercase()));
        if let Some(endpoint) = named.or(self.leader_endpoints.first()) {
            let address = HostPort { host: endpoint.host.clone(), port: endpoint.port };
            cx.broker.quorum.learn_address(BrokerId(said.leader_id), address);
        }
        let candidates = said.preferred_candidates.iter().map(|candidate| ReplicaKey {
            id: BrokerId(candidate.candidate_id),
            directory: (candidate.candidate_directory_id != Uuid::ZERO)
                .then_some(candidate.candidate_directory_id),
        });
        let by_id = said.preferred_successors.iter();
        let by_id = by_id.map(|id| ReplicaKey { id: BrokerId(*id), directory: None });
        let preferred_successors = match cx.version {
            0 => by_id.collect(),
            _ => candidates.collect(),
        };
        let request = Request::EndQuorumEpoch {
            leader: BrokerId(said.leader_id),
            epoch: LeaderEpoch(said.leader_epoch),
            preferred_successors,
        };
        match cx.broker.quorum.ask(request).await {
            Some(answer) => response(answer),
            None => failed(ErrorCode::BrokerNotAvailable),
        }
    }
}

fn response(asked: Asked) -> EndQuorumEpochResponse {
    let leader_id = asked.response.leader.map_or(-1, |leader| leader.0);
    let part = ResponsePartitionData {
        partition_index: 0,
        error_code: code(asked.response.refusal).code(),
        leader_id,
        leader_epoch: asked.response.epoch.0,
    };
    let node = asked.leader_address.map(|address| NodeEndpoint {
        node_id: leader_id,
        host: address.host,
        port: address.port,
    });
    EndQuorumEpochResponse {
        error_code: ErrorCode::None.code(),
        topics: vec![ResponseTopicData {
            topic_name: kalda_model::CLUSTER_METADATA_TOPIC.to_owned(),
            partitions: vec![part],
        }],
        node_endpoints: node.into_iter().collect(),
    }
}
