//! The topics that coordinators keep their records in, made when the first client asks for them.

use std::sync::Arc;

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use crate::broker::Broker;

/// With that many replicas one can be away while the others still take records.
const REPLICAS_TO_SPARE_ONE: i64 = 3;

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
    pub(crate) forbids_unclean_election: bool,
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
        // What nobody asked for is lowered to what there is: a cluster of one coordinates too. Who is
        // registered counts, alive or not, so that what is made while a broker is away is no worse.
        let registered = i64::try_from(broker.image().brokers.len()).unwrap_or(1).max(1);
        let is_asked = |key: &str| broker.config.values.contains_key(key);
        let mut replicas = broker.config.number(self.replication_factor);
        if !is_asked(self.replication_factor) {
            replicas = replicas.min(registered);
        }
        let enough = if replicas >= REPLICAS_TO_SPARE_ONE { 2 } else { 1 };
        let min_isr = self.min_insync_replicas.filter(|key| is_asked(key));
        let min_isr = min_isr.map_or(enough, |key| broker.config.number(key));
        let mut configs = vec![
            config("cleanup.policy", "compact".to_owned()),
            config("compression.type", self.compression_type.to_owned()),
            config("segment.bytes", broker.config.number(self.segment_bytes).to_string()),
            config("min.insync.replicas", min_isr.to_string()),
        ];
        if self.forbids_unclean_election {
            configs.push(config("unclean.leader.election.enable", "false".to_owned()));
        }
        CreatableTopic {
            name: self.name.to_owned(),
            num_partitions: i32::try_from(broker.config.number(self.partitions)).unwrap_or(50),
            replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
            configs,
            ..CreatableTopic::default()
        }
    }
}
