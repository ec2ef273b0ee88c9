//! AssignReplicasToDirs (key 73): a broker reports in which log directory each replica lies (KIP-858).

use std::collections::BTreeSet;

use kalda_metadata::{BrokerRegistration, TopicImage};
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
    /// Notes the assignments; a replica in a directory that is offline leaves the ISR.
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
        }))
    }
}
