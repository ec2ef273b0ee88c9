//! ElectLeaders (key 43), and the elections that the controller holds by itself: preferred leaders
//! get their partitions back, and who may lose records rather than wait does not wait.

use std::collections::BTreeSet;

use kalda_metadata::{PartitionRegistration, TopicImage};
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use kalda_protocol::stored::metadata::MetadataRecord;

use crate::partition_change::Election;
use crate::partition_updates::{OneTopicRules, TopicRules};
use crate::{Controller, Decision, Refusal};

/// Most elections that one run of the controller's own holds.
const ELECTIONS_PER_RUN: usize = 1000;

impl Controller<'_> {
    /// Decides which partitions of `request` get another leader: type 0 the preferred one, type 1
    /// anyone that lives if there is none. Without partitions all are meant.
    #[must_use]
    pub fn elect_leaders(&self, request: &ElectLeadersRequest) -> Decision<ElectLeadersResponse> {
        let mut records = Vec::new();
        let mut response = ElectLeadersResponse::default();
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            _ => {
                response.error_code = ErrorCode::InvalidRequest.code();
                return Decision { records, response };
            }
        };
        let rules = TopicRules::new(self);
        let Some(listed) = &request.topic_partitions else {
            for topic in self.image.topics.iter() {
                let indexes = topic.partitions.keys().copied();
                let mut of_topic =
                    self.elect_in(&topic.name, indexes, election, &rules, &mut records);
                let not_needed = ErrorCode::ElectionNotNeeded.code();
                of_topic.partition_result.retain(|result| result.error_code != not_needed);
                if !of_topic.partition_result.is_empty() {
                    response.replica_election_results.push(of_topic);
                }
            }
            return Decision { records, response };
        };
        let mut seen = BTreeSet::new();
        for asked in listed {
            let indexes = asked.partitions.iter().copied();
            let indexes = indexes.filter(|index| seen.insert((asked.topic.as_str(), *index)));
            response.replica_election_results.push(self.elect_in(
                &asked.topic,
                indexes,
                election,
                &rules,
                &mut records,
            ));
        }
        Decision { records, response }
    }

    /// Gives partitions back to their preferred leaders where these are in sync, at most
    /// a thousand in one run.
    #[must_use]
    pub fn balance_leaders(&self) -> Decision<()> {
        let wants = |partition: &PartitionRegistration, _| !has_preferred_leader(partition);
        self.elect_where(Election::Preferred, &wants)
    }

    /// Elects leaders for partitions that have none, among those whose topic allows that records
    /// are lost by it (`unclean.leader.election.enable`), at most a thousand in one run.
    #[must_use]
    pub fn elect_unclean_where_allowed(&self) -> Decision<()> {
        let wants = |partition: &PartitionRegistration, rules: OneTopicRules| {
            rules.unclean_allowed && partition.leader == BrokerId::NONE
        };
        self.elect_where(Election::Unclean, &wants)
    }

    fn elect_where(
        &self,
        election: Election,
        wants: &dyn Fn(&PartitionRegistration, OneTopicRules) -> bool,
    ) -> Decision<()> {
        let rules = TopicRules::new(self);
        let mut records = Vec::new();
        for topic in self.image.topics.iter() {
            let of_topic = rules.of(topic);
            for (index, partition) in &topic.partitions {
                if records.len() >= ELECTIONS_PER_RUN {
                    return Decision { records, response: () };
                }
                if wants(partition, of_topic) {
                    records.extend(self.elect(topic, *index, partition, of_topic, election));
                }
            }
        }
        Decision { records, response: () }
    }

    fn elect_in(
        &self,
        topic: &str,
        indexes: impl Iterator<Item = i32>,
        election: Election,
        rules: &TopicRules<'_>,
        records: &mut Vec<MetadataRecord>,
    ) -> ReplicaElectionResult {
        let found = self.image.topics.by_name(topic);
        let of_topic = found.map(|topic| rules.of(topic));
        let mut partition_result = Vec::new();
        for index in indexes {
            let decided = match (found, of_topic) {
                (Some(found), Some(of_topic)) => self.elect_one(found, index, of_topic, election),
                _ => {
                    let text = format!("There is no topic {topic}.");
                    Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, text))
                }
            };
            let (code, error_message) = match decided {
                Ok(record) => {
                    records.push(record);
                    (ErrorCode::None, None)
                }
                Err(refusal) => (refusal.code, Some(refusal.message)),
            };
            partition_result.push(PartitionResult {
                partition_id: index,
                error_code: code.code(),
                error_message,
            });
        }
        ReplicaElectionResult { topic: topic.to_owned(), partition_result }
    }

    fn elect_one(
        &self,
        topic: &TopicImage,
        index: i32,
        rules: OneTopicRules,
        election: Election,
    ) -> Result<MetadataRecord, Refusal> {
        let partition = topic.partitions.get(&index).ok_or_else(|| {
            let text = format!("There is no partition {}-{index}.", topic.name);
            Refusal::new(ErrorCode::UnknownTopicOrPartition, text)
        })?;
        let is_fine = match election {
            Election::Unclean => partition.leader != BrokerId::NONE,
            _ => has_preferred_leader(partition),
        };
        if is_fine {
            return Err(Refusal::plain(ErrorCode::ElectionNotNeeded));
        }
        self.elect(topic, index, partition, rules, election).ok_or_else(|| {
            Refusal::plain(match election {
                Election::Unclean => ErrorCode::EligibleLeadersNotAvailable,
                _ => ErrorCode::PreferredLeaderNotAvailable,
            })
        })
    }

    /// The record of an election that finds somebody.
    fn elect(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
        rules: OneTopicRules,
        election: Election,
    ) -> Option<MetadataRecord> {
        let record =
            self.change(topic, index, partition, rules, |change| change.election = election)?;
        match &record {
            MetadataRecord::PartitionChange(change) if change.leader >= 0 => Some(record),
            _ => None,
        }
    }
}

fn has_preferred_leader(partition: &PartitionRegistration) -> bool {
    partition.replicas.first() == Some(&partition.leader)
}
