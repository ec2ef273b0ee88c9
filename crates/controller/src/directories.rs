//! AssignReplicasToDirs (key 73): a broker reports in which log directory each replica lies (KIP-858), or that
//! one is lost.

use std::collections::BTreeSet;

use kalda_metadata::{BrokerRegistration, PartitionRegistration, TopicImage};
use kalda_model::{BrokerId, DirectoryId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::assign_replicas_to_dirs::{
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, ResponseDirectoryData,
    ResponsePartitionData, ResponseTopicData,
};
use kalda_protocol::stored::metadata::MetadataRecord;

use crate::partition_updates::{OneTopicRules, TopicRules};
use crate::{Controller, Decision};

impl Controller<'_> {
    /// Notes the assignments; a replica in a directory that is offline leaves the ISR. One that is lost is not
    /// eligible either, and only taken for lost while another one can lead.
    #[must_use]
    pub fn assign_replicas_to_dirs(
        &self,
        request: &AssignReplicasToDirsRequest,
    ) -> Decision<AssignReplicasToDirsResponse> {
        let mut response = AssignReplicasToDirsResponse::default();
        let mut records = Vec::new();
        if let Err(code) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            response.error_code = code.code();
            return Decision { records, response };
        }
        let broker = &*self.image.brokers[&BrokerId(request.broker_id)];
        let rules = TopicRules::new(self);
        let mut seen = BTreeSet::new();
        for directory in &request.directories {
            let mut topics = Vec::new();
            for asked in &directory.topics {
                let topic = self.image.topics.by_id(asked.topic_id);
                let of_topic = topic.map(|topic| rules.of(topic));
                let mut partitions = Vec::new();
                for asked_partition in &asked.partitions {
                    let index = asked_partition.partition_index;
                    let is_first = seen.insert((asked.topic_id, index));
                    let decided = match (topic, of_topic) {
                        (Some(topic), Some(of_topic)) if is_first => {
                            self.assign(broker, topic, index, of_topic, directory.id)
                        }
                        (Some(_), _) => Err(ErrorCode::InvalidRequest),
                        (None, _) => Err(ErrorCode::UnknownTopicId),
                    };
                    let error = decided.as_ref().err().copied().unwrap_or(ErrorCode::None);
                    records.extend(decided.ok().flatten());
                    partitions.push(ResponsePartitionData {
                        partition_index: index,
                        error_code: error.code(),
                    });
                }
                topics.push(ResponseTopicData { topic_id: asked.topic_id, partitions });
            }
            response.directories.push(ResponseDirectoryData { id: directory.id, topics });
        }
        Decision { records, response }
    }

    fn assign(
        &self,
        broker: &BrokerRegistration,
        topic: &TopicImage,
        index: i32,
        rules: OneTopicRules,
        directory: DirectoryId,
    ) -> Result<Option<MetadataRecord>, ErrorCode> {
        let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if !partition.replicas.contains(&broker.id) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let is_lost = directory == DirectoryId::LOST_DIRECTORY;
        if is_lost && !self.is_dispensable(partition, broker.id) {
            return Err(ErrorCode::IneligibleReplica);
        }
        let may_lead = |id| {
            let directory_online = if id == broker.id {
                broker.has_online(directory)
            } else {
                self.has_online_replica(partition, id)
            };
            self.is_active(id) && directory_online
        };
        Ok(self.change_with(topic, index, partition, rules, &may_lead, |change| {
            change.election = rules.election();
            change.moved.insert(broker.id, directory);
            if !broker.has_online(directory) {
                change.isr.retain(|id| *id != broker.id);
            }
            if is_lost {
                change.lossy = Some(broker.id);
            }
        }))
    }

    /// Whether somebody else is in sync and can lead. A replica that reports itself as lost is damaged, and
    /// will be cut: what only it has would be gone.
    fn is_dispensable(&self, partition: &PartitionRegistration, id: BrokerId) -> bool {
        let can_lead = |other: &BrokerId| {
            *other != id && self.is_active(*other) && self.has_online_replica(partition, *other)
        };
        partition.isr.iter().any(can_lead)
    }
}
