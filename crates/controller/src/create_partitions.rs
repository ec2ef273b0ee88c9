//! CreatePartitions: a topic can grow, never shrink.

use std::collections::BTreeMap;

use kalda_metadata::TopicImage;
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use kalda_protocol::stored::metadata::MetadataRecord;

use crate::placement::place;
use crate::{Controller, Decision, Refusal};

impl Controller<'_> {
    /// Decides which topics of `request` grow. With `validate_only` no record results.
    #[must_use]
    pub fn create_partitions(
        &self,
        request: &CreatePartitionsRequest,
    ) -> Decision<CreatePartitionsResponse> {
        let mut seen = BTreeMap::<&str, usize>::new();
        for topic in &request.topics {
            *seen.entry(topic.name.as_str()).or_default() += 1;
        }
        let mut records = Vec::new();
        let mut results = Vec::new();
        for topic in &request.topics {
            let planned = match seen.remove(topic.name.as_str()) {
                None => continue,
                Some(1) => self.grow(topic),
                Some(_) => Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            };
            let (error_code, error_message) = match planned {
                Ok(planned) => {
                    if !request.validate_only {
                        records.extend(planned);
                    }
                    (ErrorCode::None, None)
                }
                Err(refusal) => (refusal.code, Some(refusal.message)),
            };
            results.push(CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code: error_code.code(),
                error_message,
            });
        }
        let response = CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() };
        Decision { records, response }
    }

    fn grow(&self, asked: &CreatePartitionsTopic) -> Result<Vec<MetadataRecord>, Refusal> {
        let topic = self.image.topics.by_name(&asked.name);
        let topic = topic.ok_or_else(|| Refusal::plain(ErrorCode::UnknownTopicOrPartition))?;
        let current = topic.partitions.len();
        let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidPartitions, text));
        let wanted = match usize::try_from(asked.count) {
            Ok(wanted) if wanted > current => wanted,
            Ok(wanted) if wanted == current => {
                return invalid(format!("Topic already has {current} partition(s)."));
            }
            _ => {
                return invalid(format!(
                    "The topic {} currently has {current} partition(s); {} would not be an increase.",
                    asked.name, asked.count
                ));
            }
        };
        let new_replicas = self.new_replicas(asked, topic, wanted - current)?;
        let mut records = Vec::new();
        for (index, replicas) in (current..).zip(new_replicas) {
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            let partition = self.new_partition(replicas)?;
            records.push(MetadataRecord::Partition(partition.to_record(topic.id, index)));
        }
        Ok(records)
    }

    fn new_replicas(
        &self,
        asked: &CreatePartitionsTopic,
        topic: &TopicImage,
        additional: usize,
    ) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        let factor = topic.partitions.values().next().map_or(1, |first| first.replication_factor());
        let Some(assignments) = &asked.assignments else {
            return place(self.image, self.rng, additional, factor);
        };
        let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
        if assignments.len() != additional {
            return invalid(format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            ));
        }
        let mut all = Vec::new();
        for assignment in assignments {
            let replicas: Vec<_> = assignment.broker_ids.iter().copied().map(BrokerId).collect();
            self.check_replicas(&replicas)?;
            if replicas.len() != factor {
                return invalid(format!(
                    "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous partitions, which have {factor} replica(s).",
                    replicas.len()
                ));
            }
            all.push(replicas);
        }
        Ok(all)
    }
}
