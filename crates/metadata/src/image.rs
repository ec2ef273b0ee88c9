//! The state of the cluster at one offset of the metadata log.

use std::collections::BTreeMap;
use std::sync::Arc;

use kalda_model::{BrokerId, LeaderEpoch, Offset};
use kalda_protocol::stored::metadata::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, ProducerIdsRecord, TopicRecord,
};

use crate::brokers::BrokerRegistration;
use crate::configs::ConfigsImage;
use crate::controllers::ControllerRegistration;
use crate::opaque::OpaqueRecords;
use crate::topics::TopicsImage;

/// An immutable view; cloning shares everything.
#[derive(Clone, PartialEq, Debug)]
pub struct Image {
    /// The end offset (exclusive) of the last record in it.
    pub end_offset: Offset,
    /// The epoch of the last record in it.
    pub epoch: LeaderEpoch,
    /// The finalized level of each feature.
    pub features: Arc<BTreeMap<String, i16>>,
    /// The registered brokers.
    pub brokers: Arc<BTreeMap<BrokerId, Arc<BrokerRegistration>>>,
    /// The registered controllers.
    pub controllers: Arc<BTreeMap<BrokerId, Arc<ControllerRegistration>>>,
    /// The topics.
    pub topics: Arc<TopicsImage>,
    /// The altered settings.
    pub configs: Arc<ConfigsImage>,
    /// The first producer id that was never handed out.
    pub next_producer_id: i64,
    pub(crate) opaque: Arc<OpaqueRecords>,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            end_offset: Offset::ZERO,
            epoch: LeaderEpoch::UNKNOWN,
            features: Arc::default(),
            brokers: Arc::default(),
            controllers: Arc::default(),
            topics: Arc::default(),
            configs: Arc::default(),
            next_producer_id: 0,
            opaque: Arc::default(),
        }
    }
}

impl Image {
    /// The records that, replayed on an empty image, make this one: the content of a snapshot.
    /// Features come first, `metadata.version` before all, because the records that follow are
    /// read under it.
    #[must_use]
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let level = |name: &String, level: &i16| FeatureLevelRecord {
            name: name.clone(),
            feature_level: *level,
        };
        let (first, rest): (Vec<_>, Vec<_>) =
            self.features.iter().partition(|(name, _)| *name == METADATA_VERSION);
        for (name, feature_level) in first.into_iter().chain(rest) {
            records.push(MetadataRecord::FeatureLevel(level(name, feature_level)));
        }
        for broker in self.brokers.values() {
            records.push(MetadataRecord::RegisterBroker(broker.to_record()));
        }
        for controller in self.controllers.values() {
            records.push(MetadataRecord::RegisterController(controller.to_record()));
        }
        for topic in self.topics.iter() {
            let name = topic.name.to_string();
            records.push(MetadataRecord::Topic(TopicRecord { name, topic_id: topic.id }));
            for (index, partition) in &topic.partitions {
                records.push(MetadataRecord::Partition(partition.to_record(topic.id, *index)));
            }
        }
        for (resource, settings) in self.configs.iter() {
            for (name, value) in settings.iter() {
                records.push(MetadataRecord::Config(ConfigRecord {
                    resource_type: resource.kind as i8,
                    resource_name: resource.name.to_string(),
                    name: name.clone(),
                    value: Some(value.clone()),
                }));
            }
        }
        if self.next_producer_id > 0 {
            records.push(MetadataRecord::ProducerIds(ProducerIdsRecord {
                broker_id: -1,
                broker_epoch: -1,
                next_producer_id: self.next_producer_id,
            }));
        }
        records.extend(self.opaque.iter().cloned());
        records
    }

    /// The level of `metadata.version`, 0 before the first record.
    #[must_use]
    pub fn metadata_version(&self) -> i16 {
        self.feature(METADATA_VERSION)
    }

    /// The finalized level of the feature named `name`, 0 where there is none.
    #[must_use]
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or_default()
    }
}

/// The feature that versions the metadata records themselves.
const METADATA_VERSION: &str = "metadata.version";
