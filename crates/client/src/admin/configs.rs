//! Configs of topics and brokers: describe, and change one by one (KIP-339).

use std::collections::BTreeMap;

use kalda_model::BrokerId;
use kalda_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use kalda_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::Admin;
use super::topics::incomplete;
use crate::connection::Connection;
use crate::{Error, Result};

/// What has configs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ResourceType {
    /// A topic, by name.
    Topic,
    /// A broker, by id; the empty name stands for the defaults of all brokers.
    Broker,
    /// The log levels of a broker, by id.
    BrokerLogger,
    /// A client metrics subscription, by name.
    ClientMetrics,
    /// A group, by id.
    Group,
}

impl ResourceType {
    fn wire(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }
}

/// One that has configs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigResource {
    /// Its kind.
    pub kind: ResourceType,
    /// Its name.
    pub name: String,
}

impl ConfigResource {
    /// A topic.
    #[must_use]
    pub fn topic(name: &str) -> Self {
        Self { kind: ResourceType::Topic, name: name.to_owned() }
    }

    /// The broker that alone can answer for this resource, if there is one.
    fn broker(&self) -> Option<BrokerId> {
        match self.kind {
            ResourceType::Broker | ResourceType::BrokerLogger => {
                self.name.parse().ok().map(BrokerId)
            }
            _ => None,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic,
    /// Set on the broker.
    DynamicBroker,
    /// Set for all brokers.
    DynamicDefaultBroker,
    /// The broker's properties file.
    StaticBroker,
    /// Kafka's default.
    Default,
    /// Set on the broker's logger.
    DynamicBrokerLogger,
    /// Set on the client metrics subscription.
    ClientMetrics,
    /// Set on the group.
    Group,
    /// Something newer.
    Unknown,
}

impl ConfigSource {
    fn from_wire(source: i8) -> Self {
        match source {
            1 => Self::DynamicTopic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            _ => Self::Unknown,
        }
    }

    /// Kafka's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            Self::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Self::Group => "DYNAMIC_GROUP_CONFIG",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// One config of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct ConfigEntry {
    /// Its key.
    pub name: String,
    /// Its value; `None` for secrets and where none is set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it is a secret.
    pub is_sensitive: bool,
    /// Whether it cannot be changed.
    pub is_read_only: bool,
    /// All that has been set for it, strongest first: source, key, value.
    pub synonyms: Vec<(ConfigSource, String, Option<String>)>,
}

/// What to do to a config.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlterOp {
    /// Give it the value.
    Set,
    /// Go back to what holds without it.
    Delete,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigChange {
    /// The key.
    pub name: String,
    /// The value to set.
    pub value: Option<String>,
    /// What to do.
    pub op: AlterOp,
}

impl Admin {
    async fn config_node(&self, resource: &ConfigResource) -> Result<std::sync::Arc<Connection>> {
        match resource.broker() {
            None => self.cluster.any().await,
            Some(broker) => {
                if self.cluster.with_metadata(|metadata| metadata.nodes.is_empty()) {
                    self.nodes().await?;
                }
                self.cluster.node(broker).await
            }
        }
    }

    /// All configs of a resource, with the synonyms of each.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn describe_configs(&self, resource: &ConfigResource) -> Result<Vec<ConfigEntry>> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.kind.wire(),
                resource_name: resource.name.clone(),
                configuration_keys: None,
            }],
            include_synonyms: true,
            include_documentation: false,
        };
        self.with_retries("describeConfigs", async || {
            let response = self.config_node(resource).await?.call(&request).await?;
            let result = response.results.into_iter().next().ok_or_else(incomplete)?;
            Error::check(result.error_code, result.error_message)?;
            Ok(result.configs.into_iter().map(entry).collect())
        })
        .await
    }

    /// Changes configs one by one.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
    ) -> Result<()> {
        let configs = changes.iter().map(|change| AlterableConfig {
            name: change.name.clone(),
            config_operation: match change.op {
                AlterOp::Set => 0,
                AlterOp::Delete => 1,
            },
            value: change.value.clone(),
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.kind.wire(),
                resource_name: resource.name.clone(),
                configs: configs.collect(),
            }],
            validate_only: false,
        };
        self.with_retries("incrementalAlterConfigs", async || {
            let response = self.config_node(resource).await?.call(&request).await?;
            let result = response.responses.into_iter().next().ok_or_else(incomplete)?;
            Error::check(result.error_code, result.error_message)
        })
        .await
    }

    /// The value of one config of each of these topics. Topics that are gone are left out.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn topic_config(
        &self,
        topics: &[String],
        key: &str,
    ) -> Result<BTreeMap<String, String>> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let resources = topics.iter().map(|name| DescribeConfigsResource {
            resource_type: ResourceType::Topic.wire(),
            resource_name: name.clone(),
            configuration_keys: Some(vec![key.to_owned()]),
        });
        let request =
            DescribeConfigsRequest { resources: resources.collect(), ..Default::default() };
        self.with_retries("describeConfigs", async || {
            let response = self.cluster.any().await?.call(&request).await?;
            let values = response.results.into_iter().filter_map(|result| {
                let value = result.configs.into_iter().next()?.value?;
                Some((result.resource_name, value))
            });
            Ok(values.collect())
        })
        .await
    }

    /// The configs of topics that are not their defaults, by topic: key and value in the broker's
    /// order. Topics that are gone are left out.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn topic_overrides(
        &self,
        topics: &[String],
    ) -> Result<BTreeMap<String, Vec<(String, String)>>> {
        let resources = topics.iter().map(|name| DescribeConfigsResource {
            resource_type: ResourceType::Topic.wire(),
            resource_name: name.clone(),
            configuration_keys: None,
        });
        let request =
            DescribeConfigsRequest { resources: resources.collect(), ..Default::default() };
        self.with_retries("describeConfigs", async || {
            let response = self.cluster.any().await?.call(&request).await?;
            let mut overrides = BTreeMap::new();
            for result in response.results {
                if Error::from_code(result.error_code, None).is_none() {
                    let set = result.configs.into_iter().map(entry).filter(is_override);
                    let pairs = set.map(|entry| (entry.name, entry.value.unwrap_or_default()));
                    overrides.insert(result.resource_name, pairs.collect());
                }
            }
            Ok(overrides)
        })
        .await
    }
}

fn is_override(entry: &ConfigEntry) -> bool {
    entry.source != ConfigSource::Default
}

fn entry(config: DescribeConfigsResourceResult) -> ConfigEntry {
    let source = match config.config_source {
        // Version 0 only says whether it is a default.
        -1 if config.is_default => ConfigSource::Default,
        source => ConfigSource::from_wire(source),
    };
    let synonyms = config
        .synonyms
        .into_iter()
        .map(|synonym| (ConfigSource::from_wire(synonym.source), synonym.name, synonym.value));
    ConfigEntry {
        name: config.name,
        value: config.value,
        source,
        is_sensitive: config.is_sensitive,
        is_read_only: config.read_only,
        synonyms: synonyms.collect(),
    }
}
