//! DescribeCluster (key 60, v0–2, KIP-700): v1 adds the kind of endpoint asked for, v2 fenced
//! brokers (KIP-1073).

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use crate::dispatch::{Handle, RequestContext};

/// `EndpointType.BROKER`.
const BROKERS: i8 = 1;

impl Handle for DescribeClusterRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeClusterResponse {
        let cluster_id = cx.broker.cluster_id.clone();
        if self.endpoint_type != BROKERS {
            let error = ErrorCode::MismatchedEndpointType;
            return DescribeClusterResponse {
                error_code: error.code(),
                error_message: Some(error.message().to_owned()),
                endpoint_type: BROKERS,
                cluster_id,
                ..DescribeClusterResponse::default()
            };
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
