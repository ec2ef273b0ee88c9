//! AlterConfigs and IncrementalAlterConfigs (KIP-339): settings of topics, brokers, groups and
//! client-metrics subscriptions, each resource on its own (`ConfigurationControlManager`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kalda_metadata::config::{
    ConfigKey, ConfigType, MIN_INSYNC_REPLICAS, broker_key, client_metrics_key, group_key,
    topic_key,
};
use kalda_metadata::{ConfigResource, ResourceType, TopicImage};
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use kalda_protocol::messages::incremental_alter_configs::{
    AlterConfigsResourceResponse as IncrementalResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kalda_protocol::stored::metadata::{
    ClearElrRecord, ConfigRecord, MetadataRecord, PartitionChangeRecord,
};

use crate::{Controller, Decision, Refusal};

/// The operations of IncrementalAlterConfigs, by their numbers on the wire.
mod op {
    pub(super) const SET: i8 = 0;
    pub(super) const DELETE: i8 = 1;
    pub(super) const APPEND: i8 = 2;
    pub(super) const SUBTRACT: i8 = 3;
}

type Changes = BTreeMap<String, Option<String>>;

impl Controller<'_> {
    /// Decides an IncrementalAlterConfigs. With `validate_only` no record results.
    #[must_use]
    pub fn incremental_alter_configs(
        &self,
        request: &IncrementalAlterConfigsRequest,
    ) -> Decision<IncrementalAlterConfigsResponse> {
        let mut records = Vec::new();
        let mut responses = Vec::new();
        let mut seen = BTreeSet::new();
        for asked in &request.resources {
            let first = seen.insert((asked.resource_type, asked.resource_name.as_str()));
            let decided = self.resource(asked.resource_type, &asked.resource_name, first).and_then(
                |resource| Ok((self.incremental_changes(&resource, &asked.configs)?, resource)),
            );
            let (code, message) = match decided {
                Ok((changes, resource)) => {
                    records.extend(self.records_of(&resource, changes));
                    (ErrorCode::None, None)
                }
                Err(refusal) => (refusal.code, Some(refusal.message)),
            };
            responses.push(IncrementalResourceResponse {
                error_code: code.code(),
                error_message: message,
                resource_type: asked.resource_type,
                resource_name: asked.resource_name.clone(),
            });
        }
        if request.validate_only {
            records.clear();
        }
        let response = IncrementalAlterConfigsResponse {
            responses,
            ..IncrementalAlterConfigsResponse::default()
        };
        Decision { records, response }
    }

    /// Decides an AlterConfigs, which replaces all settings of a resource: what it does not name
    /// goes back to its default.
    #[must_use]
    pub fn alter_configs(&self, request: &AlterConfigsRequest) -> Decision<AlterConfigsResponse> {
        let mut records = Vec::new();
        let mut responses = Vec::new();
        let mut seen = BTreeSet::new();
        for asked in &request.resources {
            let first = seen.insert((asked.resource_type, asked.resource_name.as_str()));
            let wanted = asked.configs.iter().map(|config| (&config.name, &config.value));
            let decided = self
                .resource(asked.resource_type, &asked.resource_name, first)
                .and_then(|resource| Ok((self.replacing_changes(&resource, wanted)?, resource)));
            let (code, message) = match decided {
                Ok((changes, resource)) => {
                    records.extend(self.records_of(&resource, changes));
                    (ErrorCode::None, None)
                }
                Err(refusal) => (refusal.code, Some(refusal.message)),
            };
            responses.push(AlterConfigsResourceResponse {
                error_code: code.code(),
                error_message: message,
                resource_type: asked.resource_type,
                resource_name: asked.resource_name.clone(),
            });
        }
        if request.validate_only {
            records.clear();
        }
        let response = AlterConfigsResponse { responses, ..AlterConfigsResponse::default() };
        Decision { records, response }
    }

    fn resource(&self, kind: i8, name: &str, first: bool) -> Result<ConfigResource, Refusal> {
        if !first {
            let text = "Each resource must appear at most once.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, text));
        }
        let Some(kind) = ResourceType::from_wire(kind) else {
            let text = format!("Unknown resource type {kind}");
            return Err(Refusal::new(ErrorCode::InvalidRequest, text));
        };
        match kind {
            ResourceType::Topic if self.image.topics.by_name(name).is_none() => {
                let text = format!("The topic '{name}' does not exist.");
                return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, text));
            }
            ResourceType::Broker if !name.is_empty() => {
                let id = name.parse().map(BrokerId);
                if !id.is_ok_and(|id| self.image.brokers.contains_key(&id)) {
                    let text = format!("No broker with id {name} found.");
                    return Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, text));
                }
            }
            ResourceType::BrokerLogger => {
                let text =
                    "Log levels are set on the broker itself, not in the cluster's metadata.";
                return Err(Refusal::new(ErrorCode::InvalidRequest, text));
            }
            ResourceType::Group | ResourceType::ClientMetrics if name.is_empty() => {
                let text = "Default resources are not allowed.";
                return Err(Refusal::new(ErrorCode::InvalidRequest, text));
            }
            _ => {}
        }
        Ok(ConfigResource { kind, name: name.into() })
    }

    fn incremental_changes(
        &self,
        resource: &ConfigResource,
        configs: &[AlterableConfig],
    ) -> Result<Changes, Refusal> {
        let mut changes = Changes::new();
        for config in configs {
            let name = &config.name;
            let key = find_key(resource.kind, name)?;
            let value = match (config.config_operation, &config.value) {
                (op::DELETE, _) => None,
                (_, None) => {
                    let text = format!("Null value not supported for : {name}");
                    return Err(Refusal::new(ErrorCode::InvalidConfig, text));
                }
                (op::SET, Some(value)) => Some(value.clone()),
                (operation @ (op::APPEND | op::SUBTRACT), Some(value)) => {
                    if key.kind != ConfigType::List {
                        let text = format!(
                            "Can't {} to key {name} because its type is not LIST.",
                            if operation == op::APPEND { "APPEND" } else { "SUBTRACT" }
                        );
                        return Err(Refusal::new(ErrorCode::InvalidConfig, text));
                    }
                    Some(self.changed_list(resource, key, operation, value))
                }
                (operation, _) => {
                    let text = format!("Unknown operation type {operation}");
                    return Err(Refusal::new(ErrorCode::InvalidRequest, text));
                }
            };
            validate(resource.kind, key, value.as_deref())?;
            if changes.insert(name.clone(), value).is_some() {
                let text = format!("Error due to duplicate config keys : {name}");
                return Err(Refusal::new(ErrorCode::InvalidRequest, text));
            }
        }
        self.check_one_min_insync(resource, &changes)?;
        Ok(changes)
    }

    fn changed_list(
        &self,
        resource: &ConfigResource,
        key: &ConfigKey,
        operation: i8,
        value: &str,
    ) -> String {
        let now = self.image.configs.value(resource, key.name);
        let now = now.or(key.default).unwrap_or_default();
        let mut items: Vec<&str> = now.split(',').filter(|item| !item.is_empty()).collect();
        for item in value.split(',').map(str::trim) {
            let known = items.contains(&item);
            match operation {
                op::APPEND if !known => items.push(item),
                op::SUBTRACT => items.retain(|other| *other != item),
                _ => {}
            }
        }
        items.join(",")
    }

    fn replacing_changes<'a>(
        &self,
        resource: &ConfigResource,
        wanted: impl Iterator<Item = (&'a String, &'a Option<String>)>,
    ) -> Result<Changes, Refusal> {
        let now = self.image.configs.of(resource);
        let mut changes: Changes =
            now.into_iter().flat_map(|map| map.keys()).map(|name| (name.clone(), None)).collect();
        for (name, value) in wanted {
            let key = find_key(resource.kind, name)?;
            let value = value.clone().ok_or_else(|| {
                let text = format!("Null value not supported for : {name}");
                Refusal::new(ErrorCode::InvalidConfig, text)
            })?;
            validate(resource.kind, key, Some(&value))?;
            changes.insert(name.clone(), Some(value));
        }
        self.check_one_min_insync(resource, &changes)?;
        Ok(changes)
    }
}

impl Controller<'_> {
    fn records_of(&self, resource: &ConfigResource, changes: Changes) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if let Some(value) = changes.get(MIN_INSYNC_REPLICAS) {
            let now = self.image.configs.value(resource, MIN_INSYNC_REPLICAS);
            if now != value.as_deref() && self.elr_enabled() {
                records = self.forget_eligible(resource);
            }
        }
        records.extend(changes.into_iter().map(|(name, value)| {
            MetadataRecord::Config(ConfigRecord {
                resource_type: resource.kind as i8,
                resource_name: resource.name.to_string(),
                name,
                value,
            })
        }));
        records
    }

    /// Who is eligible was decided by the `min.insync.replicas` that held until now: under a lower
    /// one the high watermark may move while they are away, so they are forgotten (KAFKA-16540).
    /// Where nobody is in sync it cannot move before one of them leads, and nobody else could: there
    /// they stay.
    fn forget_eligible(&self, resource: &ConfigResource) -> Vec<MetadataRecord> {
        let topic_name = match resource.kind {
            ResourceType::Topic => resource.name.to_string(),
            // The empty name stands for all topics.
            ResourceType::Broker => String::new(),
            _ => return Vec::new(),
        };
        let is_meant =
            |topic: &&Arc<TopicImage>| topic_name.is_empty() || *topic.name == *topic_name;
        let mut kept = Vec::new();
        let numbers = |ids: &[BrokerId]| Some(ids.iter().map(|id| id.0).collect());
        for topic in self.image.topics.iter().filter(is_meant) {
            for (index, partition) in &topic.partitions {
                let is_known = !partition.elr.is_empty() || !partition.last_known_elr.is_empty();
                if partition.isr.is_empty() && is_known {
                    kept.push(MetadataRecord::PartitionChange(PartitionChangeRecord {
                        partition_id: *index,
                        topic_id: topic.id,
                        eligible_leader_replicas: numbers(&partition.elr),
                        last_known_elr: numbers(&partition.last_known_elr),
                        ..PartitionChangeRecord::default()
                    }));
                }
            }
        }
        let mut records = vec![MetadataRecord::ClearElr(ClearElrRecord { topic_name })];
        records.append(&mut kept);
        records
    }

    /// Eligible leader replicas are safe only if all leaders of a topic go by one number.
    fn check_one_min_insync(
        &self,
        resource: &ConfigResource,
        changes: &Changes,
    ) -> Result<(), Refusal> {
        let is_one_broker = resource.kind == ResourceType::Broker && !resource.name.is_empty();
        let is_set = changes.get(MIN_INSYNC_REPLICAS).is_some_and(Option::is_some);
        if is_one_broker && is_set && self.elr_enabled() {
            let text = format!(
                "{MIN_INSYNC_REPLICAS} is set for topics or for all brokers, not for one broker, while eligible leader replicas are kept."
            );
            return Err(Refusal::new(ErrorCode::InvalidConfig, text));
        }
        Ok(())
    }
}

fn find_key(kind: ResourceType, name: &str) -> Result<&'static ConfigKey, Refusal> {
    let found = match kind {
        ResourceType::Topic => topic_key(name),
        ResourceType::Broker | ResourceType::BrokerLogger => broker_key(name),
        ResourceType::ClientMetrics => client_metrics_key(name),
        ResourceType::Group => group_key(name),
    };
    let kind = match kind {
        ResourceType::Topic => "topic",
        ResourceType::Broker | ResourceType::BrokerLogger => "broker",
        ResourceType::ClientMetrics => "client metrics",
        ResourceType::Group => "group",
    };
    found.ok_or_else(|| {
        Refusal::new(ErrorCode::InvalidConfig, format!("Unknown {kind} config name: {name}"))
    })
}

fn validate(kind: ResourceType, key: &ConfigKey, value: Option<&str>) -> Result<(), Refusal> {
    if kind == ResourceType::Broker && !key.is_dynamic() {
        let text = format!("Cannot update these configs dynamically: Set({})", key.name);
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    }
    let Some(value) = value else { return Ok(()) };
    key.validate(value)
        .map_err(|invalid| Refusal::new(ErrorCode::InvalidConfig, invalid.to_string()))
}
