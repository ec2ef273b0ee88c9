//! The topics that coordinators keep their records in, made when the first client asks for them.

use std::sync::Arc;

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use crate::broker::Broker;

/// An internal topic and the broker's settings for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InternalTopic {
    pub(crate) name: &'static str,
    /// The settings' keys.
    pub(crate) partitions: &'static str,
    pub(crate) replication_factor: &'static str,
    pub(crate) segment_bytes: &'static str,
    pub(crate) min_insync_replicas: Option<&'static str>,
    pub(crate) compression_type: &'static str,
}

impl InternalTopic {
    /// Makes the topic, unless somebody else did meanwhile.
    pub(super) async fn make(&self, broker: &Arc<Broker>) -> Result<(), ErrorCode> {
        let request =
            CreateTopicsRequest { topics: vec![self.topic(broker)], ..Default::default() };
        let made = broker.controller_channel.call(broker, &request);
        let response = made.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        let made = response.topics.first().map_or(0, |topic| topic.error_code);
        match ErrorCode::from_code(made) {
            Some(ErrorCode::None | ErrorCode::TopicAlreadyExists) => Ok(()),
            _ => {
                let text = response.topics.first().and_then(|topic| topic.error_message.clone());
                tracing::error!("{} cannot be made: {}", self.name, text.unwrap_or_default());
                Err(ErrorCode::CoordinatorNotAvailable)
            }
        }
    }

    fn topic(&self, broker: &Broker) -> CreatableTopic {
        let config = |name: &str, value: String| CreatableTopicConfig {
            name: name.to_owned(),
            value: Some(value),
        };
        let alive = broker.image().brokers.values().filter(|broker| !broker.fenced).count();
        let alive = i64::try_from(alive).unwrap_or(1);
        // What nobody asked for is lowered to what there is: a cluster of one coordinates too.
        let lowered = |key: &str| {
            let wanted = broker.config.number(key);
            if broker.config.values.contains_key(key) { wanted } else { wanted.min(alive) }
        };
        let mut configs = vec![
            config("cleanup.policy", "compact".to_owned()),
            config("compression.type", self.compression_type.to_owned()),
            config("segment.bytes", broker.config.number(self.segment_bytes).to_string()),
        ];
        if let Some(key) = self.min_insync_replicas {
            configs.push(config("min.insync.replicas", lowered(key).to_string()));
            configs.push(config("unclean.leader.election.enable", "false".to_owned()));
        }
        CreatableTopic {
            name: self.name.to_owned(),
            num_partitions: i32::try_from(broker.config.number(self.partitions)).unwrap_or(50),
            replication_factor: i16::try_from(lowered(self.replication_factor)).unwrap_or(1),
            configs,
            ..CreatableTopic::default()
        }
    }
}
