//! Elections of partition leaders on demand (KIP-183, KIP-460).

use std::collections::BTreeMap;

use kalda_model::TopicPartition;
use kalda_protocol::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};

use super::Admin;
use crate::{Error, Result};

/// Who may be elected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElectionType {
    /// The first replica of the list, if it is in sync.
    Preferred,
    /// Any live replica where no in-sync replica lives: records may be lost.
    Unclean,
}

impl ElectionType {
    fn wire(self) -> i8 {
        match self {
            Self::Preferred => 0,
            Self::Unclean => 1,
        }
    }

    /// Kafka's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Preferred => "PREFERRED",
            Self::Unclean => "UNCLEAN",
        }
    }
}

impl Admin {
    /// Elects the leaders of these partitions, or of all that need it, and tells how each election
    /// went.
    ///
    /// # Errors
    /// As the controller says of all of them, or nobody answers in time.
    pub async fn elect_leaders(
        &self,
        election: ElectionType,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let request = ElectLeadersRequest {
            election_type: election.wire(),
            topic_partitions: partitions.map(by_topic),
            timeout_ms: self.server_timeout_ms(),
        };
        self.with_retries("electLeaders", async || {
            let response = self.cluster.controller().await?.call(&request).await?;
            Error::check(response.error_code, None)?;
            let mut outcomes = BTreeMap::new();
            for topic in response.replica_election_results {
                for result in topic.partition_result {
                    let partition = TopicPartition::new(topic.topic.as_str(), result.partition_id);
                    let outcome = Error::check(result.error_code, result.error_message);
                    outcomes.insert(partition, outcome);
                }
            }
            Ok(outcomes)
        })
        .await
    }
}

fn by_topic(partitions: &[TopicPartition]) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.to_string()).or_default().push(partition.partition);
    }
    topics.into_iter().map(|(topic, partitions)| TopicPartitions { topic, partitions }).collect()
}
