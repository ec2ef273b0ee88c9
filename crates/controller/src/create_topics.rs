//! CreateTopics: names, counts, assignments and settings, each topic on its own
//! (`ReplicationControlManager.createTopics`).

use std::collections::{BTreeMap, BTreeSet};

use kalda_metadata::config::topic_key;
use kalda_metadata::{ConfigResource, Image, PartitionRegistration, ResourceType, TopicImage};
use kalda_model::{
    BrokerId, LeaderEpoch, PartitionEpoch, TopicId, topic_names_collide, validate_topic_name,
};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use kalda_protocol::stored::metadata::{ConfigRecord, MetadataRecord, TopicRecord};

use crate::placement::{directories, place};
use crate::{Controller, Decision, Refusal};

/// Most partitions that one request may make (`MAX_PARTITIONS_PER_BATCH`).
const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Settings of a topic that was asked for.
type Settings = BTreeMap<String, String>;

/// A topic that passed every check.
struct Plan {
    id: TopicId,
    partitions: BTreeMap<i32, PartitionRegistration>,
    settings: Settings,
}

impl Controller<'_> {
    /// Decides which topics of `request` are made. With `validate_only` no record results.
    #[must_use]
    pub fn create_topics(&self, request: &CreateTopicsRequest) -> Decision<CreateTopicsResponse> {
        let mut seen = BTreeMap::<&str, usize>::new();
        for topic in &request.topics {
            *seen.entry(topic.name.as_str()).or_default() += 1;
        }
        let mut records = Vec::new();
        let mut results = Vec::new();
        let mut planned = BTreeSet::new();
        let mut partitions_left = PARTITIONS_PER_REQUEST_MAX;
        for topic in &request.topics {
            let plan = match seen.get(topic.name.as_str()) {
                None => continue,
                Some(1) => self.plan(topic, &planned, &mut partitions_left),
                Some(_) => Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            };
            seen.remove(topic.name.as_str());
            match plan {
                Ok(plan) => {
                    planned.insert(topic.name.as_str());
                    results.push(self.accepted(topic, &plan));
                    if !request.validate_only {
                        plan.push_records(&topic.name, &mut records);
                    }
                }
                Err(refusal) => results.push(CreatableTopicResult {
                    name: topic.name.clone(),
                    error_code: refusal.code.code(),
                    error_message: Some(refusal.message),
                    ..CreatableTopicResult::default()
                }),
            }
        }
        let response = CreateTopicsResponse { topics: results, ..CreateTopicsResponse::default() };
        Decision { records, response }
    }

    fn plan(
        &self,
        topic: &CreatableTopic,
        planned: &BTreeSet<&str>,
        partitions_left: &mut usize,
    ) -> Result<Plan, Refusal> {
        validate_topic_name(&topic.name).map_err(|invalid| {
            Refusal::new(ErrorCode::InvalidTopicException, invalid.to_string())
        })?;
        self.check_name_is_free(&topic.name, planned)?;
        let settings = self.topic_settings(topic)?;
        let replicas = if topic.assignments.is_empty() {
            self.automatic_replicas(topic, partitions_left)?
        } else {
            self.manual_replicas(topic)?
        };
        let mut partitions = BTreeMap::new();
        for (index, replicas) in replicas {
            partitions.insert(index, self.new_partition(replicas)?);
        }
        Ok(Plan { id: self.random_id(), partitions, settings })
    }

    fn check_name_is_free(&self, name: &str, planned: &BTreeSet<&str>) -> Result<(), Refusal> {
        if self.image.topics.by_name(name).is_some() {
            let text = format!("Topic '{name}' already exists.");
            return Err(Refusal::new(ErrorCode::TopicAlreadyExists, text));
        }
        if !name.contains(['.', '_']) {
            return Ok(());
        }
        let existing = self.image.topics.iter().map(|topic| &*topic.name);
        match existing.chain(planned.iter().copied()).find(|other| topic_names_collide(name, other))
        {
            Some(other) => Err(Refusal::new(
                ErrorCode::InvalidTopicException,
                format!("Topic '{name}' collides with existing topic: {other}"),
            )),
            None => Ok(()),
        }
    }

    fn topic_settings(&self, topic: &CreatableTopic) -> Result<Settings, Refusal> {
        let mut settings = Settings::new();
        for config in &topic.configs {
            let Some(value) = &config.value else {
                let text = format!("Null value not supported for topic configs: {}", config.name);
                return Err(Refusal::new(ErrorCode::InvalidConfig, text));
            };
            let key = topic_key(&config.name).ok_or_else(|| {
                let text = format!("Unknown topic config name: {}", config.name);
                Refusal::new(ErrorCode::InvalidConfig, text)
            })?;
            key.validate(value)
                .map_err(|invalid| Refusal::new(ErrorCode::InvalidConfig, invalid.to_string()))?;
            settings.insert(config.name.clone(), value.clone());
        }
        Ok(settings)
    }

    fn automatic_replicas(
        &self,
        topic: &CreatableTopic,
        partitions_left: &mut usize,
    ) -> Result<Vec<(i32, Vec<BrokerId>)>, Refusal> {
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            return Err(Refusal::new(
                ErrorCode::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            ));
        }
        let or_default = |asked: i64, name: &str| match asked {
            -1 => self.broker_number(name),
            asked => asked,
        };
        let partitions = or_default(i64::from(topic.num_partitions), "num.partitions");
        let factor = or_default(i64::from(topic.replication_factor), "default.replication.factor");
        let (partitions, factor) =
            (usize::try_from(partitions).unwrap_or(1), usize::try_from(factor).unwrap_or(1));
        *partitions_left = partitions_left.checked_sub(partitions).ok_or_else(|| {
            let text = format!(
                "Excessively large number of partitions per request: at most {PARTITIONS_PER_REQUEST_MAX} can be made at once."
            );
            Refusal::new(ErrorCode::PolicyViolation, text)
        })?;
        let placed = place(self.image, self.rng, partitions, factor)?;
        Ok((0..).zip(placed).collect())
    }

    fn manual_replicas(
        &self,
        topic: &CreatableTopic,
    ) -> Result<Vec<(i32, Vec<BrokerId>)>, Refusal> {
        let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
        if topic.replication_factor != -1 {
            return Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but replication factor was not set to -1.",
            ));
        }
        if topic.num_partitions != -1 {
            return Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ));
        }
        let mut by_index = BTreeMap::new();
        for assignment in &topic.assignments {
            let replicas: Vec<_> = assignment.broker_ids.iter().copied().map(BrokerId).collect();
            self.check_replicas(&replicas)?;
            if by_index.insert(assignment.partition_index, replicas).is_some() {
                return invalid(format!(
                    "Found multiple manual partition assignments for partition {}",
                    assignment.partition_index
                ));
            }
        }
        let factors: BTreeSet<usize> = by_index.values().map(Vec::len).collect();
        if factors.len() > 1 {
            return invalid(
                "Inconsistent replication factor between partitions, all partitions of a topic must have the same number of replicas.".into(),
            );
        }
        if (0..).zip(by_index.keys()).any(|(expected, index)| expected != *index) {
            return invalid("partitions should be a consecutive 0-based integer sequence".into());
        }
        Ok(by_index.into_iter().collect())
    }

    /// Checks an assignment that a client made by hand.
    pub(crate) fn check_replicas(&self, replicas: &[BrokerId]) -> Result<(), Refusal> {
        let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
        if replicas.is_empty() {
            return invalid(
                "The manual partition assignment includes an empty replica list.".into(),
            );
        }
        let mut seen = BTreeSet::new();
        for replica in replicas {
            if !seen.insert(*replica) {
                return invalid(format!(
                    "The manual partition assignment includes the broker {replica} more than once."
                ));
            }
            if !self.image.brokers.contains_key(replica) {
                return invalid(format!(
                    "The manual partition assignment includes broker {replica}, but no such broker is registered."
                ));
            }
        }
        Ok(())
    }

    /// The registration of a new partition: only unfenced replicas are in sync, the first leads.
    pub(crate) fn new_partition(
        &self,
        replicas: Vec<BrokerId>,
    ) -> Result<PartitionRegistration, Refusal> {
        let active = |id: &BrokerId| {
            let broker = self.image.brokers.get(id);
            broker.is_some_and(|broker| !broker.fenced && !broker.in_controlled_shutdown)
        };
        let isr: Vec<_> = replicas.iter().copied().filter(active).collect();
        let leader = isr.first().copied().ok_or_else(|| {
            let text = "All brokers specified in the manual partition assignment are fenced or in controlled shutdown.";
            Refusal::new(ErrorCode::InvalidReplicaAssignment, text)
        })?;
        Ok(PartitionRegistration {
            directories: directories(self.image, &replicas),
            replicas,
            isr,
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader,
            leader_recovery_state: 0,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
        })
    }

    fn accepted(&self, topic: &CreatableTopic, plan: &Plan) -> CreatableTopicResult {
        let replicas = plan.partitions.values().next().map_or(0, |first| first.replicas.len());
        let shape = (plan.partitions.len(), replicas);
        self.made(&topic.name, plan.id, shape, Some(&plan.settings))
    }

    /// A topic of so many partitions and replicas, as its maker is told of it.
    fn made(
        &self,
        name: &str,
        topic_id: TopicId,
        (partitions, replicas): (usize, usize),
        settings: Option<&Settings>,
    ) -> CreatableTopicResult {
        let sources = self.sources();
        let configs = kalda_metadata::config::topic_keys().iter().map(|key| {
            let resolved = sources.topic_with(key, settings, replicas);
            CreatableTopicConfigs {
                name: key.name.to_owned(),
                value: resolved.value,
                read_only: false,
                config_source: resolved.source as i8,
                is_sensitive: key.is_sensitive(),
            }
        });
        CreatableTopicResult {
            name: name.to_owned(),
            topic_id,
            error_code: ErrorCode::None.code(),
            error_message: None,
            topic_config_error_code: ErrorCode::None.code(),
            num_partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
            configs: Some(configs.collect()),
        }
    }

    /// Corrects the answer to a `request` that was asked twice, because an answer got lost: a topic
    /// that is not in `before`, and is there now in the shape that was asked for, is what the first
    /// asking made.
    pub fn settle_created_topics(
        &self,
        request: &CreateTopicsRequest,
        response: &mut CreateTopicsResponse,
        before: &Image,
    ) {
        for told in &mut response.topics {
            let asked = request.topics.iter().find(|topic| topic.name == told.name);
            let made = self.image.topics.by_name(&told.name);
            let (Some(asked), Some(made)) = (asked, made) else { continue };
            let is_new = !request.validate_only && before.topics.by_name(&told.name).is_none();
            let is_refused = told.error_code == ErrorCode::TopicAlreadyExists.code();
            if !is_new || !is_refused || !is_as_asked(made, asked) {
                continue;
            }
            let replicas = made.partitions.values().next().map_or(0, |it| it.replicas.len());
            let settings = self.image.configs.of(&ConfigResource::topic(&told.name));
            let shape = (made.partitions.len(), replicas);
            *told = self.made(&told.name, made.id, shape, settings.map(|it| &**it));
        }
    }
}

impl Plan {
    fn push_records(self, name: &str, records: &mut Vec<MetadataRecord>) {
        records
            .push(MetadataRecord::Topic(TopicRecord { name: name.to_owned(), topic_id: self.id }));
        for (setting, value) in self.settings {
            records.push(MetadataRecord::Config(ConfigRecord {
                resource_type: ResourceType::Topic as i8,
                resource_name: name.to_owned(),
                name: setting,
                value: Some(value),
            }));
        }
        for (index, partition) in self.partitions {
            records.push(MetadataRecord::Partition(partition.to_record(self.id, index)));
        }
    }
}

/// Whether a topic has as many partitions and replicas as were asked for; -1 asks for the defaults.
fn is_as_asked(made: &TopicImage, asked: &CreatableTopic) -> bool {
    let count = i32::try_from(made.partitions.len()).unwrap_or(i32::MAX);
    if !asked.assignments.is_empty() {
        return asked.assignments.iter().all(|wanted| {
            let made = made.partitions.get(&wanted.partition_index);
            made.is_some_and(|it| it.replicas.iter().map(|id| id.0).eq(wanted.broker_ids.clone()))
        }) && made.partitions.len() == asked.assignments.len();
    }
    let is_factor = |it: &PartitionRegistration| {
        i16::try_from(it.replicas.len()) == Ok(asked.replication_factor)
    };
    (asked.num_partitions < 0 || asked.num_partitions == count)
        && (asked.replication_factor < 0 || made.partitions.values().all(|it| is_factor(it)))
}
