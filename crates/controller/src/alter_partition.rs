//! AlterPartition (key 56, v2–3): a leader reports who is in sync (KIP-497). v3 names each with the
//! epoch of its broker, so that a replica that restarted meanwhile is not let in (KIP-903).

use std::collections::BTreeSet;

use kalda_metadata::{PartitionRegistration, TopicImage};
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerState, RequestPartitionData,
    ResponsePartitionData, ResponseTopicData,
};
use kalda_protocol::stored::metadata::{MetadataRecord, PartitionChangeRecord};

use crate::partition_change::{LEADER_UNCHANGED, RECOVERED, RECOVERING};
use crate::partition_updates::{OneTopicRules, TopicRules};
use crate::{Controller, Decision};

/// The epoch that says "whatever it is".
const ANY_EPOCH: i64 = -1;

impl Controller<'_> {
    /// Decides which ISRs of `request`, in `version`, become those of their partitions.
    #[must_use]
    pub fn alter_partition(
        &self,
        request: &AlterPartitionRequest,
        version: i16,
    ) -> Decision<AlterPartitionResponse> {
        let mut response = AlterPartitionResponse::default();
        let mut records = Vec::new();
        if let Err(code) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            response.error_code = code.code();
            return Decision { records, response };
        }
        let rules = TopicRules::new(self);
        let mut seen = BTreeSet::new();
        for asked in &request.topics {
            let topic = self.image.topics.by_id(asked.topic_id);
            let rules = topic.map(|topic| rules.of(topic));
            let mut partitions = Vec::new();
            for wanted in &asked.partitions {
                let is_first = seen.insert((asked.topic_id, wanted.partition_index));
                let decided = match (topic, rules) {
                    (Some(topic), Some(rules)) if is_first => {
                        let leader = BrokerId(request.broker_id);
                        self.alter_one(leader, topic, rules, wanted, version, &mut records)
                    }
                    (Some(_), _) => Err(ErrorCode::InvalidRequest),
                    (None, _) => Err(ErrorCode::UnknownTopicId),
                };
                partitions.push(answer(wanted.partition_index, decided));
            }
            response.topics.push(ResponseTopicData { topic_id: asked.topic_id, partitions });
        }
        Decision { records, response }
    }

    fn alter_one(
        &self,
        leader: BrokerId,
        topic: &TopicImage,
        rules: OneTopicRules,
        wanted: &RequestPartitionData,
        version: i16,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<PartitionRegistration, ErrorCode> {
        let index = wanted.partition_index;
        let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let isr = wanted_isr(wanted, version);
        check_epochs(leader, partition, wanted)?;
        check_isr(partition, &isr, wanted.leader_recovery_state)?;
        if !isr.iter().all(|member| self.is_eligible(partition, member)) {
            return Err(ErrorCode::IneligibleReplica);
        }
        let change = self.change(topic, index, partition, rules, |change| {
            change.isr = isr.iter().map(|member| BrokerId(member.broker_id)).collect();
            change.leader_recovery_state = wanted.leader_recovery_state;
            change.election = rules.election();
        });
        let Some(record) = change else { return Ok(PartitionRegistration::clone(partition)) };
        let changed = merged(partition, &record);
        let new_leader = leader_of(&record);
        records.push(record);
        // Completing a reassignment may take the leadership from who asked.
        if new_leader != LEADER_UNCHANGED && new_leader != leader.0 {
            return Err(ErrorCode::NewLeaderElected);
        }
        Ok(changed)
    }

    /// Who is fenced, stopping or of another life than the leader saw must not be in sync
    /// (KAFKA-13916, KIP-841, KIP-903). Nor may anyone join whose replica lies, as far as is known
    /// here, in a log directory that is gone: it could not lead.
    fn is_eligible(&self, partition: &PartitionRegistration, member: &BrokerState) -> bool {
        let id = BrokerId(member.broker_id);
        let broker = self.image.brokers.get(&id);
        broker.is_some_and(|broker| {
            let same_life =
                member.broker_epoch == ANY_EPOCH || member.broker_epoch == broker.epoch.0;
            let has_a_place =
                partition.isr.contains(&id) || broker.has_online(partition.directory_of(id));
            broker.is_active() && same_life && has_a_place
        })
    }
}

fn wanted_isr(wanted: &RequestPartitionData, version: i16) -> Vec<BrokerState> {
    if version >= 3 {
        return wanted.new_isr_with_epochs.clone();
    }
    let member = |id: &i32| BrokerState { broker_id: *id, broker_epoch: ANY_EPOCH };
    wanted.new_isr.iter().map(member).collect()
}

/// What a leader knows may be older than what holds here, or newer, when this controller is not the
/// active one any more (KAFKA-14154).
fn check_epochs(
    leader: BrokerId,
    partition: &PartitionRegistration,
    wanted: &RequestPartitionData,
) -> Result<(), ErrorCode> {
    let (leader_epoch, epoch) = (partition.leader_epoch.0, partition.partition_epoch.0);
    if wanted.leader_epoch > leader_epoch || wanted.partition_epoch > epoch {
        Err(ErrorCode::NotController)
    } else if wanted.leader_epoch < leader_epoch {
        Err(ErrorCode::FencedLeaderEpoch)
    } else if leader != partition.leader {
        Err(ErrorCode::InvalidRequest)
    } else if wanted.partition_epoch < epoch {
        Err(ErrorCode::InvalidUpdateVersion)
    } else {
        Ok(())
    }
}

fn check_isr(
    partition: &PartitionRegistration,
    isr: &[BrokerState],
    recovery_state: i8,
) -> Result<(), ErrorCode> {
    let ids: BTreeSet<_> = isr.iter().map(|member| BrokerId(member.broker_id)).collect();
    let is_valid = ids.len() == isr.len()
        && ids.contains(&partition.leader)
        && ids.iter().all(|id| partition.replicas.contains(id));
    let is_recovery_valid = match recovery_state {
        RECOVERED => true,
        RECOVERING => partition.leader_recovery_state == RECOVERING && isr.len() == 1,
        _ => false,
    };
    if is_valid && is_recovery_valid { Ok(()) } else { Err(ErrorCode::InvalidRequest) }
}

fn change_of(record: &MetadataRecord) -> Option<&PartitionChangeRecord> {
    match record {
        MetadataRecord::PartitionChange(change) => Some(change),
        _ => None,
    }
}

fn merged(partition: &PartitionRegistration, record: &MetadataRecord) -> PartitionRegistration {
    change_of(record).map_or_else(|| partition.clone(), |change| partition.changed_by(change))
}

fn leader_of(record: &MetadataRecord) -> i32 {
    change_of(record).map_or(LEADER_UNCHANGED, |change| change.leader)
}

fn answer(
    partition_index: i32,
    decided: Result<PartitionRegistration, ErrorCode>,
) -> ResponsePartitionData {
    match decided {
        Ok(partition) => ResponsePartitionData {
            partition_index,
            error_code: ErrorCode::None.code(),
            leader_id: partition.leader.0,
            leader_epoch: partition.leader_epoch.0,
            isr: partition.isr.iter().map(|id| id.0).collect(),
            leader_recovery_state: partition.leader_recovery_state,
            partition_epoch: partition.partition_epoch.0,
        },
        Err(code) => ResponsePartitionData {
            partition_index,
            error_code: code.code(),
            ..ResponsePartitionData::default()
        },
    }
}
