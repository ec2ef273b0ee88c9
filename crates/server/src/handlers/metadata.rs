//! Metadata (key 3, v0–13): brokers, topics, leaders. v0 asks for all topics with an empty list,
//! later versions with null; v4 adds whether unknown topics are made, implied before; v10 adds
//! topic ids (KIP-516), v12 topics found by id alone.

use kalda_metadata::{Image, TopicImage};
use kalda_model::{BrokerId, validate_topic_name};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use kalda_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for MetadataRequest {
    async fn handle(self, cx: &RequestContext) -> MetadataResponse {
        let all = match &self.topics {
            None => true,
            Some(topics) => cx.version == 0 && topics.is_empty(),
        };
        let may_create = cx.version < 4 || self.allow_auto_topic_creation;
        let wanted = self.topics.unwrap_or_default();
        if !all && may_create {
            create_missing(cx, &wanted).await;
        }
        let image = cx.broker.image();
        let topics = if all {
            image.topics.iter().map(|topic| found(&image, topic)).collect()
        } else {
            wanted.iter().map(|topic| one(&image, topic)).collect()
        };
        let brokers = brokers(cx, &image);
        let shown = brokers.iter().map(|broker| BrokerId(broker.node_id));
        MetadataResponse {
            cluster_id: Some(cx.broker.cluster_id.clone()),
            controller_id: cx.broker.named_controller(shown).0,
            brokers,
            topics,
            ..MetadataResponse::default()
        }
    }
}

/// Makes the topics that are missing, if the broker allows it. Clients rely on this to be done when
/// they are answered: what they produce next must find its leader.
async fn create_missing(cx: &RequestContext, wanted: &[MetadataRequestTopic]) {
    if !cx.broker.config.flag("auto.create.topics.enable") {
        return;
    }
    let image = cx.broker.image();
    let names = wanted.iter().filter_map(|topic| topic.name.as_deref());
    let missing = names
        .filter(|name| image.topics.by_name(name).is_none() && validate_topic_name(name).is_ok());
    let topics: Vec<_> = missing
        .map(|name| CreatableTopic {
            name: name.to_owned(),
            num_partitions: -1,
            replication_factor: -1,
            ..CreatableTopic::default()
        })
        .collect();
    if topics.is_empty() {
        return;
    }
    let request = CreateTopicsRequest { topics, ..CreateTopicsRequest::default() };
    match cx.broker.controller_channel.call(&cx.broker, &request).await {
        Ok(response) => {
            for topic in response.topics.iter().filter(|topic| topic.error_code == 0) {
                tracing::info!(topic = topic.name, "made because a client asked for it");
            }
            // A broker that lags says so in the answer, and the client asks again.
            let seen = |image: &Image| {
                let mut made = response.topics.iter().filter(|topic| topic.error_code == 0);
                made.all(|topic| image.topics.by_id(topic.topic_id).is_some())
            };
            cx.broker.until_seen(seen).await;
        }
        Err(error) => tracing::warn!(%error, "a missing topic could not be made"),
    }
}

fn brokers(cx: &RequestContext, image: &Image) -> Vec<MetadataResponseBroker> {
    let mut brokers = Vec::new();
    for broker in image.brokers.values().filter(|broker| !broker.fenced) {
        if let Some((host, port)) = cx.broker.endpoint_for(&cx.peer, broker) {
            brokers.push(MetadataResponseBroker {
                node_id: broker.id.0,
                host,
                port: i32::from(port),
                rack: broker.rack.clone(),
            });
        }
    }
    brokers
}

fn one(image: &Image, wanted: &MetadataRequestTopic) -> MetadataResponseTopic {
    // Clients that ask by id send an empty name along.
    let name = wanted.name.as_ref().filter(|_| wanted.topic_id.is_zero());
    let (topic, missing) = match name {
        Some(name) => {
            let missing = match validate_topic_name(name) {
                Ok(()) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            (image.topics.by_name(name), missing)
        }
        None => (image.topics.by_id(wanted.topic_id), ErrorCode::UnknownTopicId),
    };
    match topic {
        Some(topic) => found(image, topic),
        None => MetadataResponseTopic {
            error_code: missing.code(),
            name: name.cloned(),
            topic_id: wanted.topic_id,
            ..MetadataResponseTopic::default()
        },
    }
}

fn found(image: &Image, topic: &TopicImage) -> MetadataResponseTopic {
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
    let is_alive = |id: &BrokerId| image.brokers.get(id).is_some_and(|broker| !broker.fenced);
    let partitions = topic.partitions.iter().map(|(index, partition)| {
        let has_leader = is_alive(&partition.leader);
        let offline = partition.replicas.iter().filter(|id| !is_alive(id)).map(|id| id.0);
        let error = if has_leader { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
        MetadataResponsePartition {
            error_code: error.code(),
            partition_index: *index,
            leader_id: if has_leader { partition.leader.0 } else { BrokerId::NONE.0 },
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: ids(&partition.replicas),
            isr_nodes: ids(&partition.isr),
            offline_replicas: offline.collect(),
        }
    });
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

/// Whether the topic belongs to the brokers themselves.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}
