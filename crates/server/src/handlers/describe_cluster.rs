//! DescribeCluster (key 60, v0–2, KIP-700): v1 adds the kind of endpoint asked for, v2 fenced
//! brokers (KIP-1073).

use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use crate::dispatch::{Handle, RequestContext};

/// `EndpointType.BROKER`.
const BROKERS: i8 = 1;
/// `EndpointType.CONTROLLER`.
const CONTROLLERS: i8 = 2;

impl Handle for DescribeClusterRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeClusterResponse {
        let cluster_id = cx.broker.cluster_id.clone();
        let at_controllers = cx.broker.is_controller_listener(&cx.peer);
        let here = if at_controllers { CONTROLLERS } else { BROKERS };
        if self.endpoint_type != here {
            let error = match self.endpoint_type {
                BROKERS | CONTROLLERS => ErrorCode::MismatchedEndpointType,
                _ => ErrorCode::UnsupportedEndpointType,
            };
            return DescribeClusterResponse {
                error_code: error.code(),
                error_message: Some(error.message().to_owned()),
                endpoint_type: here,
                cluster_id,
                ..DescribeClusterResponse::default()
            };
        }
        if at_controllers {
            return controllers(cx, cluster_id).await;
        }
        let image = cx.broker.image();
        let shown = image.brokers.values();
        let shown = shown.filter(|broker| self.include_fenced_brokers || !broker.fenced);
        let brokers = shown.filter_map(|broker| {
            let (host, port) = cx.broker.endpoint_for(&cx.peer, broker)?;
            Some(DescribeClusterBroker {
                broker_id: broker.id.0,
                host,
                port: i32::from(port),
                rack: broker.rack.clone(),
                is_fenced: broker.fenced,
            })
        });
        DescribeClusterResponse {
            cluster_id,
            controller_id: cx.broker.node.0,
            brokers: brokers.collect(),
            ..DescribeClusterResponse::default()
        }
    }
}

/// The controllers of the quorum, on the listener that was asked (KIP-919).
async fn controllers(cx: &RequestContext, cluster_id: String) -> DescribeClusterResponse {
    let name = &cx.broker.listeners[cx.peer.listener].listener.name;
    let Some(quorum) = cx.broker.quorum.describe().await else {
        let error = ErrorCode::BrokerNotAvailable;
        return DescribeClusterResponse { error_code: error.code(), ..Default::default() };
    };
    let image = cx.broker.image();
    let registered = |id: &BrokerId| {
        let endpoint = image.controllers.get(id)?.endpoint(name)?;
        Some((endpoint.host.clone(), endpoint.port))
    };
    let configured = |id: &BrokerId| {
        let (_, address) = quorum.addresses.iter().find(|(known, _)| known == id)?;
        Some((address.host.clone(), address.port))
    };
    let nodes = quorum.voters.iter().map(|voter| voter.key.id).filter_map(|id| {
        let (host, port) = registered(&id).or_else(|| configured(&id))?;
        Some(DescribeClusterBroker {
            broker_id: id.0,
            host,
            port: i32::from(port),
            ..DescribeClusterBroker::default()
        })
    });
    DescribeClusterResponse {
        endpoint_type: CONTROLLERS,
        cluster_id,
        controller_id: quorum.leader.map_or(-1, |leader| leader.0),
        brokers: nodes.collect(),
        ..DescribeClusterResponse::default()
    }
}
