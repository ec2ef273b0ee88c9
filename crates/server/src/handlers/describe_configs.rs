//! DescribeConfigs (key 32, v0–4): every setting of a resource, its value, its source. v0 says only
//! whether a value is the default; v1 adds sources and synonyms (KIP-226), v3 types and
//! documentation (KIP-569).

use kalda_metadata::config::{
    ConfigKey, ConfigSource, Resolved, Synonym, broker_keys, client_metrics_keys, group_keys,
    throttle_keys, topic_keys,
};
use kalda_metadata::{ConfigResource, Image, ResourceType};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for DescribeConfigsRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeConfigsResponse {
        let image = cx.broker.image();
        let results = self.resources.iter().map(|resource| {
            let described = resolve(cx, &image, resource);
            let (error, message, resolved) = match described {
                Ok(resolved) => (ErrorCode::None, None, resolved),
                Err((error, message)) => (error, Some(message), Vec::new()),
            };
            let wanted = |resolved: &Resolved| match &resource.configuration_keys {
                Some(names) => names.iter().any(|name| name == resolved.key.name),
                None => true,
            };
            let is_broker = resource.resource_type == ResourceType::Broker as i8;
            let configs = resolved.into_iter().filter(wanted);
            DescribeConfigsResult {
                error_code: error.code(),
                error_message: message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                configs: configs.map(|resolved| entry(&self, resolved, is_broker)).collect(),
            }
        });
        let results = results.collect();
        DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
    }
}

fn resolve(
    cx: &RequestContext,
    image: &Image,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Resolved>, (ErrorCode, String)> {
    let name = resource.resource_name.as_str();
    let sources = cx.broker.config_sources(image);
    let own = |kind| image.configs.of(&ConfigResource { kind, name: name.into() });
    match ResourceType::from_wire(resource.resource_type) {
        Some(ResourceType::Topic) => {
            kalda_model::validate_topic_name(name)
                .map_err(|invalid| (ErrorCode::InvalidTopicException, invalid.to_string()))?;
            if image.topics.by_name(name).is_none() {
                let error = ErrorCode::UnknownTopicOrPartition;
                return Err((error, error.message().to_owned()));
            }
            let overrides = own(ResourceType::Topic).map(AsRef::as_ref);
            Ok(topic_keys().iter().map(|key| sources.topic(key, overrides)).collect())
        }
        Some(ResourceType::Broker) if name.is_empty() => {
            // The default of all brokers shows only what was altered.
            let altered = own(ResourceType::Broker);
            let keys = broker_keys().iter();
            Ok(keys
                .filter_map(|key| {
                    let value = altered?.get(key.name)?.clone();
                    Some(single(key, Some(value), ConfigSource::DynamicDefaultBroker))
                })
                .collect())
        }
        Some(ResourceType::Broker) if name == cx.broker.node.to_string() => {
            // Throttles are there while somebody has set them.
            let throttles = throttle_keys().iter().map(|key| sources.broker(key));
            let set = throttles.filter(|resolved| resolved.source != ConfigSource::Default);
            Ok(broker_keys().iter().map(|key| sources.broker(key)).chain(set).collect())
        }
        Some(ResourceType::Broker) => {
            let node = cx.broker.node;
            let text = format!(
                "Unexpected broker id, expected {node} or empty string, but received {name}"
            );
            Err((ErrorCode::InvalidRequest, text))
        }
        Some(ResourceType::Group) => Ok(overridable(
            group_keys(),
            own(ResourceType::Group).map(AsRef::as_ref),
            ConfigSource::Group,
        )),
        Some(ResourceType::ClientMetrics) => Ok(overridable(
            client_metrics_keys(),
            own(ResourceType::ClientMetrics).map(AsRef::as_ref),
            ConfigSource::ClientMetrics,
        )),
        Some(ResourceType::BrokerLogger) | None => {
            let text = format!("Unsupported resource type: {}", resource.resource_type);
            Err((ErrorCode::InvalidRequest, text))
        }
    }
}

fn overridable(
    keys: &'static [ConfigKey],
    altered: Option<&std::collections::BTreeMap<String, String>>,
    source: ConfigSource,
) -> Vec<Resolved> {
    let resolved = keys.iter().map(|key| match altered.and_then(|map| map.get(key.name)) {
        Some(value) => single(key, Some(value.clone()), source),
        None => single(key, key.default.map(str::to_owned), ConfigSource::Default),
    });
    resolved.collect()
}

fn single(key: &'static ConfigKey, value: Option<String>, source: ConfigSource) -> Resolved {
    let synonyms = vec![Synonym { name: key.name, value: value.clone(), source }];
    Resolved { key, value, source, synonyms }
}

fn entry(
    request: &DescribeConfigsRequest,
    resolved: Resolved,
    is_broker: bool,
) -> DescribeConfigsResourceResult {
    let Resolved { key, value, source, synonyms } = resolved;
    let shown = |value: Option<String>| if key.is_sensitive() { None } else { value };
    let synonyms = synonyms.into_iter().map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.to_owned(),
        value: shown(synonym.value),
        source: synonym.source as i8,
    });
    DescribeConfigsResourceResult {
        name: key.name.to_owned(),
        value: shown(value),
        read_only: is_broker && !key.is_dynamic(),
        is_default: source == ConfigSource::Default,
        config_source: source as i8,
        is_sensitive: key.is_sensitive(),
        synonyms: if request.include_synonyms { synonyms.collect() } else { Vec::new() },
        config_type: key.kind as i8,
        documentation: request.include_documentation.then(|| key.doc.to_owned()),
    }
}
