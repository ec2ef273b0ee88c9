//! The topics that coordinators keep their records in, made when the first client asks for them.

use std::sync::Arc;

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use crate::broker::Broker;
use crate::config::BrokerConfig;

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
        let (replicas, min_isr) = self.replication(&broker.config, broker.image().brokers.len());
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

    /// How many replicas, and how many of them a record must reach.
    fn replication(&self, config: &BrokerConfig, registered: usize) -> (i64, i64) {
        let is_asked = |key: &str| config.values.contains_key(key);
        let mut replicas = config.number(self.replication_factor);
        // What nobody asked for is lowered to what there is: a cluster of one coordinates too. Who is
        // registered counts, alive or not, so that what is made while a broker is away is no worse.
        if !is_asked(self.replication_factor) {
            replicas = replicas.min(i64::try_from(registered).unwrap_or(i64::MAX)).max(1);
        }
        let enough = if replicas >= REPLICAS_TO_SPARE_ONE { 2 } else { 1 };
        let asked = self.min_insync_replicas.filter(|key| is_asked(key));
        (replicas, asked.map_or(enough, |key| config.number(key)))
    }
}

#[cfg(test)]
mod tests {
    use kalda_coordinator::{GroupShard, TransactionShard};

    use super::*;
    use crate::coordinators::Hosted;

    #[test]
    fn what_is_asked_for_is_obeyed_and_the_default_is_what_there_is() {
        let replication = |registered, settings: &[(&str, &str)]| {
            let settings: Vec<_> =
                settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            let (config, _) = BrokerConfig::load(None, [], &settings).unwrap();
            let of = |topic: InternalTopic| topic.replication(&config, registered);
            (of(GroupShard::TOPIC), of(TransactionShard::TOPIC))
        };
        assert_eq!(replication(1, &[]), ((1, 1), (1, 1)));
        assert_eq!(replication(2, &[]), ((2, 1), (2, 1)));
        assert_eq!(replication(3, &[]), ((3, 2), (3, 2)));
        assert_eq!(replication(9, &[]), ((3, 2), (3, 2)));
        let asked = [
            ("offsets.topic.replication.factor", "5"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "2"),
        ];
        // The controller refuses what cannot be, as Kafka does.
        assert_eq!(replication(1, &asked), ((5, 2), (1, 2)));
    }
}
