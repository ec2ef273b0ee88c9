//! What BeginQuorumEpoch and EndQuorumEpoch have in common: a leader tells of its epoch and of where
//! it is, and hears which epoch the other knows.

use kalda_client::HostPort;
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::begin_quorum_epoch::{
    LeaderEndpoint, NodeEndpoint, ResponsePartitionData, ResponseTopicData,
};
use kalda_raft::quorum::Request;

use super::answers::{TOPIC, check_cluster, code};
use crate::broker::Broker;

/// An answer without its name.
pub(crate) struct EpochAnswer {
    pub(crate) error_code: i16,
    pub(crate) topics: Vec<ResponseTopicData>,
    pub(crate) node_endpoints: Vec<NodeEndpoint>,
}

/// Tells the quorum what a leader said of its epoch; no request is one that says nothing.
pub(crate) async fn hear(
    broker: &Broker,
    cluster_id: Option<&String>,
    leader_endpoints: &[LeaderEndpoint],
    request: Option<Request>,
) -> EpochAnswer {
    let failed = |error: ErrorCode| EpochAnswer {
        error_code: error.code(),
        topics: Vec::new(),
        node_endpoints: Vec::new(),
    };
    if let Err(error) = check_cluster(broker, cluster_id) {
        return failed(error);
    }
    let Some(request) = request else { return failed(ErrorCode::InvalidRequest) };
    let names = &broker.config.quorum.listener_names;
    let named = leader_endpoints.iter().find(|it| names.contains(&it.name.to_ascii_uppercase()));
    if let Some(endpoint) = named.or(leader_endpoints.first())
        && let Request::BeginQuorumEpoch { leader, .. } | Request::EndQuorumEpoch { leader, .. } =
            &request
    {
        let address = HostPort { host: endpoint.host.clone(), port: endpoint.port };
        broker.quorum.learn_address(*leader, address);
    }
    let Some(asked) = broker.quorum.ask(request).await else {
        return failed(ErrorCode::BrokerNotAvailable);
    };
    let leader_id = asked.response.leader.map_or(BrokerId::NONE.0, |leader| leader.0);
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
    EpochAnswer {
        error_code: ErrorCode::None.code(),
        topics: vec![ResponseTopicData { topic_name: TOPIC.to_owned(), partitions: vec![part] }],
        node_endpoints: node.into_iter().collect(),
    }
}

/// Where this node is to be reached as a leader.
pub(super) fn own_endpoints(broker: &Broker) -> Vec<LeaderEndpoint> {
    let own = broker.controller_endpoints().into_iter();
    own.map(|(name, at)| LeaderEndpoint { name, host: at.host, port: at.port }).collect()
}
