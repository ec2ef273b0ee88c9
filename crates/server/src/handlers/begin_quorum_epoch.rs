//! BeginQuorumEpoch (key 53, v0–1): a replica of the metadata quorum says that it leads an epoch
//! (KIP-595, KIP-853).

use kalda_client::HostPort;
use kalda_model::{BrokerId, LeaderEpoch, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::begin_quorum_epoch::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, NodeEndpoint, ResponsePartitionData,
    ResponseTopicData,
};
use kalda_raft::quorum::{ReplicaKey, Request};

use crate::dispatch::{Handle, RequestContext};
use crate::quorum::Asked;
use crate::quorum::wire::{check_cluster, code};

impl Handle for BeginQuorumEpochRequest {
    async fn handle(self, cx: &RequestContext) -> BeginQuorumEpochResponse {
        let failed = |error: ErrorCode| BeginQuorumEpochResponse {
            error_code: error.code(),
            ..BeginQuorumEpochResponse::default()
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
        let request = Request::BeginQuorumEpoch {
            voter: ReplicaKey {
                id: if self.voter_id < 0 { cx.broker.node } else { BrokerId(self.voter_id) },
                directory: (said.voter_directory_id != Uuid::ZERO)
                    .then_some(said.voter_directory_id),
            },
            leader: BrokerId(said.leader_id),
            epoch: LeaderEpoch(said.leader_epoch),
        };
        match cx.broker.quorum.ask(request).await {
            Some(answer) => response(answer),
            None => failed(ErrorCode::BrokerNotAvailable),
        }
    }
}

fn response(asked: Asked) -> BeginQuorumEpochResponse {
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
    BeginQuorumEpochResponse {
        error_code: ErrorCode::None.code(),
        topics: vec![ResponseTopicData {
            topic_name: kalda_model::CLUSTER_METADATA_TOPIC.to_owned(),
            partitions: vec![part],
        }],
        node_endpoints: node.into_iter().collect(),
    }
}
