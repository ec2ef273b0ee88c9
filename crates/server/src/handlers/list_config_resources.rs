//! ListConfigResources (key 74, v0–1): v0 lists client-metrics subscriptions only (KIP-714), v1 any
//! kinds, all of them by default (KIP-1142).

use std::collections::BTreeSet;

use kalda_metadata::ResourceType;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use crate::dispatch::{Handle, RequestContext};

const ALL: [ResourceType; 5] = [
    ResourceType::Topic,
    ResourceType::Broker,
    ResourceType::BrokerLogger,
    ResourceType::ClientMetrics,
    ResourceType::Group,
];

impl Handle for ListConfigResourcesRequest {
    async fn handle(self, cx: &RequestContext) -> ListConfigResourcesResponse {
        let wanted: Option<Vec<_>> = match (cx.version, self.resource_types.as_slice()) {
            (0, _) => Some(vec![ResourceType::ClientMetrics]),
            (_, []) => Some(ALL.to_vec()),
            (_, named) => named.iter().map(|kind| ResourceType::from_wire(*kind)).collect(),
        };
        let Some(wanted) = wanted else {
            return ListConfigResourcesResponse {
                error_code: ErrorCode::UnsupportedVersion.code(),
                ..ListConfigResourcesResponse::default()
            };
        };
        let image = cx.broker.image();
        let mut found = BTreeSet::new();
        for kind in wanted {
            let mut add = |name: &str| found.insert((kind, name.to_owned()));
            match kind {
                ResourceType::Topic => image.topics.iter().for_each(|topic| {
                    add(&topic.name);
                }),
                ResourceType::Broker | ResourceType::BrokerLogger => {
                    image.brokers.keys().for_each(|id| {
                        add(&id.to_string());
                    });
                }
                ResourceType::ClientMetrics | ResourceType::Group => {
                    let of_kind =
                        image.configs.iter().filter(|(resource, _)| resource.kind == kind);
                    of_kind.for_each(|(resource, _)| {
                        add(&resource.name);
                    });
                }
            }
        }
        let resources = found.into_iter().map(|(kind, resource_name)| ConfigResource {
            resource_name,
            resource_type: kind as i8,
        });
        ListConfigResourcesResponse {
            config_resources: resources.collect(),
            ..ListConfigResourcesResponse::default()
        }
    }
}
