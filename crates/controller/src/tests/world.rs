//! A cluster in memory: decisions are replayed as the log would have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use kalda_env::Rng;
use kalda_metadata::{Delta, Image, PartitionRegistration};
use kalda_model::{BrokerId, DirectoryId, LeaderEpoch, Offset, Uuid};
use kalda_protocol::messages::alter_partition::{
    AlterPartitionRequest, BrokerState, RequestPartitionData, RequestTopicData,
    ResponsePartitionData,
};
use kalda_protocol::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use kalda_protocol::messages::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse, Feature,
};
use kalda_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kalda_protocol::stored::metadata::{ConfigRecord, MetadataRecord};

use crate::{
    BrokerSessions, Controller, Decision, RECORDS_PER_BATCH_MAX, SUPPORTED_FEATURES,
    bootstrap_records,
};

pub(super) const CLUSTER_ID: &str = "a-cluster";
pub(super) const SESSION_MS: i64 = 9000;

/// Counts up, so that every id is another and the same in every run.
#[derive(Debug, Default)]
pub(super) struct CountingRng(std::sync::atomic::AtomicU64);

impl Rng for CountingRng {
    fn fill(&self, bytes: &mut [u8]) {
        let next = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        for (byte, value) in bytes.iter_mut().rev().zip(next.to_le_bytes().into_iter().cycle()) {
            *byte = value;
        }
    }
}

pub(super) struct Cluster {
    pub(super) image: Image,
    pub(super) rng: CountingRng,
    pub(super) static_config: BTreeMap<String, String>,
    pub(super) sessions: BrokerSessions,
    pub(super) now_ms: i64,
    /// Every record since the beginning.
    pub(super) log: Vec<MetadataRecord>,
    pub(super) incarnations: u128,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let mut cluster = Self {
            image: Image::default(),
            rng: CountingRng::default(),
            static_config: BTreeMap::new(),
            sessions: BrokerSessions::new(SESSION_MS),
            now_ms: 1_000_000,
            log: Vec::new(),
            incarnations: 1000,
        };
        cluster.replay(&bootstrap_records());
        cluster
    }

    /// Brokers 1 to `count`, each with one log directory, registered and unfenced.
    pub(super) fn with_brokers(count: i32) -> Self {
        let mut cluster = Self::new();
        for id in 1..=count {
            cluster.start(id, Life::Clean);
        }
        cluster
    }

    pub(super) fn controller(&self) -> Controller<'_> {
        Controller {
            image: &self.image,
            rng: &self.rng,
            // A node of its own: no broker is favoured.
            node: BrokerId(3000),
            static_config: &self.static_config,
        }
    }

    /// Appends and replays, as one batch or one transaction.
    pub(super) fn replay(&mut self, records: &[MetadataRecord]) {
        let mut delta = Delta::new(&self.image);
        for record in records {
            delta.replay(record).unwrap();
        }
        let markers = if records.len() > RECORDS_PER_BATCH_MAX { 2 } else { 0 };
        let end = self.image.end_offset.plus(i64::try_from(records.len()).unwrap() + markers);
        self.image = delta.finish(end, LeaderEpoch(1)).0;
        self.log.extend_from_slice(records);
    }

    pub(super) fn decide<R>(
        &mut self,
        decide: impl FnOnce(&Controller<'_>, &mut BrokerSessions, i64) -> Decision<R>,
    ) -> R {
        let controller = Controller {
            image: &self.image,
            rng: &self.rng,
            node: BrokerId(3000),
            static_config: &self.static_config,
        };
        let Decision { records, response } = decide(&controller, &mut self.sessions, self.now_ms);
        self.replay(&records);
        response
    }

    /// A registration of a new life of broker `id`.
    pub(super) fn registration(&mut self, id: i32, life: Life) -> BrokerRegistrationRequest {
        self.incarnations += 1;
        let known = self.image.brokers.get(&BrokerId(id));
        let previous = known.map_or(-1, |known| known.epoch.0);
        let log_dirs = known.map_or_else(|| vec![directory(id, 0)], |known| known.log_dirs.clone());
        let features = SUPPORTED_FEATURES.iter().map(|(name, min, max)| Feature {
            name: (*name).to_owned(),
            min_supported_version: *min,
            max_supported_version: *max,
        });
        BrokerRegistrationRequest {
            broker_id: id,
            cluster_id: CLUSTER_ID.to_owned(),
            incarnation_id: Uuid(self.incarnations),
            features: features.collect(),
            log_dirs,
            previous_broker_epoch: if life == Life::Clean { previous } else { -1 },
            ..BrokerRegistrationRequest::default()
        }
    }

    pub(super) fn register(
        &mut self,
        request: &BrokerRegistrationRequest,
    ) -> BrokerRegistrationResponse {
        let next = self.image.end_offset;
        self.decide(|controller, sessions, now_ms| {
            controller.register_broker(request, sessions, CLUSTER_ID, next, now_ms)
        })
    }

    pub(super) fn heartbeat(
        &mut self,
        id: i32,
        change: impl FnOnce(&mut BrokerHeartbeatRequest),
    ) -> BrokerHeartbeatResponse {
        let mut request = BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: self.epoch(id),
            current_metadata_offset: self.image.end_offset.0 - 1,
            ..BrokerHeartbeatRequest::default()
        };
        change(&mut request);
        self.decide(|controller, sessions, now_ms| {
            controller.broker_heartbeat(&request, sessions, now_ms)
        })
    }

    /// A new life of a broker, registered and unfenced. Its former one must be over.
    pub(super) fn start(&mut self, id: i32, life: Life) {
        self.sessions.end(BrokerId(id));
        let request = self.registration(id, life);
        assert_eq!(self.register(&request).error_code, 0);
        let answer = self.heartbeat(id, |_| {});
        assert!(answer.is_caught_up && !answer.is_fenced);
    }

    pub(super) fn fence(&mut self, id: i32) {
        self.decide(|controller, sessions, _| controller.fence_broker(sessions, BrokerId(id)));
    }

    pub(super) fn epoch(&self, id: i32) -> i64 {
        self.image.brokers.get(&BrokerId(id)).map_or(-1, |broker| broker.epoch.0)
    }

    pub(super) fn create(
        &mut self,
        topics: Vec<CreatableTopic>,
    ) -> Vec<(String, i16, Option<String>)> {
        let request = CreateTopicsRequest { topics, ..CreateTopicsRequest::default() };
        let response = self.decide(|controller, _, _| controller.create_topics(&request));
        let results = response.topics.into_iter();
        results.map(|result| (result.name, result.error_code, result.error_message)).collect()
    }

    /// A topic whose partition `n` has the replicas `assignments[n]`.
    pub(super) fn create_at(&mut self, name: &str, assignments: &[&[i32]]) {
        let mut wanted = topic(name, -1, -1);
        wanted.assignments = (0..)
            .zip(assignments)
            .map(|(partition_index, ids)| CreatableReplicaAssignment {
                partition_index,
                broker_ids: ids.to_vec(),
            })
            .collect();
        assert_eq!(self.create(vec![wanted])[0].1, 0);
    }

    pub(super) fn partition(&self, name: &str, index: i32) -> Arc<PartitionRegistration> {
        Arc::clone(&self.image.topics.by_name(name).unwrap().partitions[&index])
    }

    /// `[isr] [elr] leader` of a partition.
    pub(super) fn state(&self, name: &str, index: i32) -> String {
        let partition = self.partition(name, index);
        let ids =
            |ids: &[BrokerId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        format!("[{}] [{}] {}", ids(&partition.isr), ids(&partition.elr), partition.leader)
    }

    /// What the leader of a partition asks for.
    pub(super) fn isr_request(&self, name: &str, index: i32, isr: &[i32]) -> AlterPartitionRequest {
        let topic = self.image.topics.by_name(name).unwrap();
        let partition = &topic.partitions[&index];
        let member = |id: &i32| BrokerState { broker_id: *id, broker_epoch: self.epoch(*id) };
        AlterPartitionRequest {
            broker_id: partition.leader.0,
            broker_epoch: self.epoch(partition.leader.0),
            topics: vec![RequestTopicData {
                topic_id: topic.id,
                partitions: vec![RequestPartitionData {
                    partition_index: index,
                    leader_epoch: partition.leader_epoch.0,
                    new_isr_with_epochs: isr.iter().map(member).collect(),
                    leader_recovery_state: 0,
                    partition_epoch: partition.partition_epoch.0,
                    ..RequestPartitionData::default()
                }],
            }],
        }
    }

    pub(super) fn alter(&mut self, request: &AlterPartitionRequest) -> ResponsePartitionData {
        let response = self.decide(|controller, _, _| controller.alter_partition(request, 3));
        assert_eq!(response.error_code, 0);
        response.topics[0].partitions[0].clone()
    }

    /// The leader's ISR, which must be taken.
    pub(super) fn set_isr(&mut self, name: &str, index: i32, isr: &[i32]) {
        let request = self.isr_request(name, index, isr);
        assert_eq!(self.alter(&request).error_code, 0);
    }

    pub(super) fn set(&mut self, name: &str, setting: &str, value: &str) {
        self.replay(&[MetadataRecord::Config(ConfigRecord {
            resource_type: 2,
            resource_name: name.to_owned(),
            name: setting.to_owned(),
            value: Some(value.to_owned()),
        })]);
    }

    /// What the log says from its beginning.
    pub(super) fn replayed_log(&self) -> Image {
        let mut delta = Delta::new(&Image::default());
        for record in &self.log {
            delta.replay(record).unwrap();
        }
        delta.finish(self.image.end_offset, self.image.epoch).0
    }
}

/// How a broker ended before it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Clean,
    Unclean,
}

/// The id of the `nth` log directory of a broker.
pub(super) fn directory(broker: i32, nth: u8) -> DirectoryId {
    let mut bytes = [u8::try_from(broker).unwrap(); 16];
    bytes[15] = 100 + nth;
    DirectoryId::from_bytes(bytes)
}

pub(super) fn topic(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: factor,
        ..CreatableTopic::default()
    }
}

pub(super) fn with_setting(mut topic: CreatableTopic, name: &str, value: &str) -> CreatableTopic {
    topic.configs.push(CreatableTopicConfig { name: name.into(), value: Some(value.into()) });
    topic
}

/// The offset at which the last of `count` records lies when they are appended at `next`.
pub(super) fn last_offset(next: Offset, count: usize) -> i64 {
    let begin = i64::from(count > RECORDS_PER_BATCH_MAX);
    next.0 + begin + i64::try_from(count).unwrap() - 1
}
