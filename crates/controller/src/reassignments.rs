//! AlterPartitionReassignments (key 45) and ListPartitionReassignments (key 46): partitions move to
//! other brokers, and back again while they have not arrived (KIP-455).
//!
//! While a partition moves, its replicas are those it is to have, then those it had. A replica that a
//! replaced reassignment was adding is both being added and being removed: it goes at the end,
//! whichever end that is.

use std::collections::BTreeSet;

use kalda_metadata::{PartitionRegistration, TopicImage};
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kalda_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kalda_protocol::stored::metadata::MetadataRecord;

use crate::partition_change::Election;
use crate::partition_updates::TopicRules;
use crate::{Controller, Decision, Refusal};

/// Whether a reassignment may give a partition more or fewer replicas than it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FactorChange {
    Allowed,
    Refused,
}

impl Controller<'_> {
    /// Decides which partitions of `request` begin to move, or, without replicas, go back.
    #[must_use]
    pub fn alter_partition_reassignments(
        &self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> Decision<AlterPartitionReassignmentsResponse> {
        let factor_change = if request.allow_replication_factor_change {
            FactorChange::Allowed
        } else {
            FactorChange::Refused
        };
        let rules = TopicRules::new(self);
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        let mut responses = Vec::new();
        for asked in &request.topics {
            let topic = self.image.topics.by_name(&asked.name);
            let mut partitions = Vec::new();
            for wanted in &asked.partitions {
                let is_first = seen.insert((asked.name.as_str(), wanted.partition_index));
                let decided = match topic {
                    Some(topic) if is_first => self.reassign(topic, wanted, factor_change, &rules),
                    Some(_) => {
                        let text = "The partition is named twice.";
                        Err(Refusal::new(ErrorCode::InvalidRequest, text))
                    }
                    None => {
                        let text = format!("Unable to find a topic named {}.", asked.name);
                        Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, text))
                    }
                };
                let (code, error_message) = match decided {
                    Ok(record) => {
                        records.extend(record);
                        (ErrorCode::None, None)
                    }
                    Err(refusal) => (refusal.code, Some(refusal.message)),
                };
                partitions.push(ReassignablePartitionResponse {
                    partition_index: wanted.partition_index,
                    error_code: code.code(),
                    error_message,
                });
            }
            responses.push(ReassignableTopicResponse { name: asked.name.clone(), partitions });
        }
        let response = AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            error_message: None,
            responses,
            ..AlterPartitionReassignmentsResponse::default()
        };
        Decision { records, response }
    }

    /// The partitions that are moving, all or those that are named.
    #[must_use]
    pub fn list_partition_reassignments(
        &self,
        request: &ListPartitionReassignmentsRequest,
    ) -> ListPartitionReassignmentsResponse {
        let mut response = ListPartitionReassignmentsResponse {
            error_message: None,
            ..ListPartitionReassignmentsResponse::default()
        };
        let mut list = |topic: &TopicImage, wants: &dyn Fn(i32) -> bool| {
            let moving = topic
                .partitions
                .iter()
                .filter(|(index, partition)| partition.is_reassigning() && wants(**index));
            let partitions: Vec<_> = moving.map(|(index, one)| ongoing(*index, one)).collect();
            if !partitions.is_empty() {
                let name = topic.name.to_string();
                response.topics.push(OngoingTopicReassignment { name, partitions });
            }
        };
        match &request.topics {
            None => self.image.topics.iter().for_each(|topic| list(topic, &|_| true)),
            Some(asked) => {
                for asked in asked {
                    if let Some(topic) = self.image.topics.by_name(&asked.name) {
                        list(topic, &|index| asked.partition_indexes.contains(&index));
                    }
                }
            }
        }
        response
    }

    fn reassign(
        &self,
        topic: &TopicImage,
        wanted: &ReassignablePartition,
        factor_change: FactorChange,
        rules: &TopicRules<'_>,
    ) -> Result<Option<MetadataRecord>, Refusal> {
        let index = wanted.partition_index;
        let partition = topic.partitions.get(&index).ok_or_else(|| {
            let text = format!("Unable to find partition {}:{index}.", topic.name);
            Refusal::new(ErrorCode::UnknownTopicOrPartition, text)
        })?;
        let Some(replicas) = &wanted.replicas else {
            return self.cancel(topic, index, partition, rules);
        };
        let target: Vec<_> = replicas.iter().copied().map(BrokerId).collect();
        self.check_replicas(&target)?;
        if factor_change == FactorChange::Refused {
            check_same_factor(partition, target.len())?;
        }
        let before = originals(partition);
        let stale = partition.adding_replicas.iter().filter(|id| !target.contains(id));
        let without = |ids: &[BrokerId], others: &[BrokerId]| -> Vec<BrokerId> {
            ids.iter().copied().filter(|id| !others.contains(id)).collect()
        };
        let (mut adding, mut removing) = (without(&target, &before), without(&before, &target));
        adding.extend(stale.clone());
        removing.extend(stale);
        let leaving = without(&partition.replicas, &target);
        let of_topic = rules.of(topic);
        Ok(self.change(topic, index, partition, of_topic, |change| {
            change.replicas = target.iter().chain(&leaving).copied().collect();
            change.adding = adding;
            change.removing = removing;
            change.election = of_topic.election();
        }))
    }

    /// Back to the replicas that it had before it began to move.
    fn cancel(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
        rules: &TopicRules<'_>,
    ) -> Result<Option<MetadataRecord>, Refusal> {
        if !partition.is_reassigning() {
            return Err(Refusal::plain(ErrorCode::NoReassignmentInProgress));
        }
        let rules = rules.of(topic);
        let replicas = originals(partition);
        let isr: Vec<_> =
            partition.isr.iter().copied().filter(|id| replicas.contains(id)).collect();
        let may_lead =
            |id: &BrokerId| self.is_active(*id) && self.has_online_replica(partition, *id);
        // Nobody who stays is in sync, although somebody who goes is: what only they have would be
        // given up, and somebody must be there to lead.
        let loses = isr.is_empty() && !partition.isr.is_empty();
        if replicas.is_empty()
            || (loses && !(rules.unclean_allowed && replicas.iter().any(may_lead)))
        {
            let text = format!(
                "Unable to revert partition assignment for {}:{index} because it would require an unclean leader election.",
                topic.name
            );
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
        }
        Ok(self.change(topic, index, partition, rules, |change| {
            change.isr = isr;
            change.replicas = replicas;
            change.adding = Vec::new();
            change.removing = Vec::new();
            change.election =
                if rules.unclean_allowed { Election::Unclean } else { Election::Online };
        }))
    }
}

/// The replicas before the reassignment that is going on.
fn originals(partition: &PartitionRegistration) -> Vec<BrokerId> {
    let adding = &partition.adding_replicas;
    partition.replicas.iter().copied().filter(|id| !adding.contains(id)).collect()
}

/// Compares with what the partition has, or is about to have.
fn check_same_factor(partition: &PartitionRegistration, wanted: usize) -> Result<(), Refusal> {
    let removing = &partition.removing_replicas;
    let factor = partition.replicas.iter().filter(|id| !removing.contains(id)).count();
    if factor == wanted {
        return Ok(());
    }
    let text = format!("The replication factor is changed from {factor} to {wanted}");
    Err(Refusal::new(ErrorCode::InvalidReplicationFactor, text))
}

fn ongoing(index: i32, partition: &PartitionRegistration) -> OngoingPartitionReassignment {
    let numbers = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    OngoingPartitionReassignment {
        partition_index: index,
        replicas: numbers(&partition.replicas),
        adding_replicas: numbers(&partition.adding_replicas),
        removing_replicas: numbers(&partition.removing_replicas),
    }
}
