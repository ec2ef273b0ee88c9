//! DescribeCluster (key 60, v0–2, KIP-700): v1 adds the kind of endpoint asked for (KIP-919), v2
//! fenced brokers (KIP-1073). Controllers tell of controllers, brokers of brokers.

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
        let is_at_controllers = cx.broker.is_controller_listener(&cx.peer);
        let ours = if is_at_controllers { CONTROLLERS } else { BROKERS };
        if self.endpoint_type == ours {
            return if is_at_controllers { controllers(cx).await } else { brokers(&self, cx) };
        }
        let error = match self.endpoint_type {
            BROKERS | CONTROLLERS => ErrorCode::MismatchedEndpointType,
            _ => ErrorCode::UnsupportedEndpointType,
        };
        DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(error.message().to_owned()),
            endpoint_type: ours,
            cluster_id: cx.broker.cluster_id.clone(),
            ..DescribeClusterResponse::default()
        }
    }
}

fn brokers(request: &DescribeClusterRequest, cx: &RequestContext) -> DescribeClusterResponse {
    let image = cx.broker.image();
    let shown = image.brokers.values();
    let shown = shown.filter(|broker| request.include_fenced_brokers || !broker.fenced);
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
    let brokers: Vec<_> = brokers.collect();
    let unfenced = brokers.iter().filter(|broker| !broker.is_fenced);
    let controller = cx.broker.named_controller(unfenced.map(|it| BrokerId(it.broker_id)));
    DescribeClusterResponse {
        cluster_id: cx.broker.cluster_id.clone(),
        controller_id: controller.0,
        brokers,
        ..DescribeClusterResponse::default()
    }
}

/// Those who vote, and which of them is active.
async fn controllers(cx: &RequestContext) -> DescribeClusterResponse {
    let told = DescribeClusterResponse {
        endpoint_type: CONTROLLERS,
        cluster_id: cx.broker.cluster_id.clone(),
        ..DescribeClusterResponse::default()
    };
    let Some(description) = cx.broker.quorum.describe().await else {
        let error = ErrorCode::BrokerNotAvailable;
        return DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(error.message().to_owned()),
            ..told
        };
    };
    let image = cx.broker.image();
    let listener = &cx.broker.listeners[cx.peer.listener].listener.name;
    let brokers = description.voters.iter().filter_map(|voter| {
        let registered = image.controllers.get(&voter.key.id);
        let registered = registered.and_then(|known| known.endpoint(listener));
        let registered = registered.map(|it| (it.host.clone(), it.port));
        let (host, port) = registered.or_else(|| {
            let configured = description.addresses.iter().find(|(id, _)| *id == voter.key.id)?;
            Some((configured.1.host.clone(), configured.1.port))
        })?;
        Some(DescribeClusterBroker {
            broker_id: voter.key.id.0,
            host,
            port: i32::from(port),
            ..DescribeClusterBroker::default()
        })
    });
    DescribeClusterResponse {
        controller_id: description.leader.map_or(-1, |leader| leader.0),
        brokers: brokers.collect(),
        ..told
    }
}
