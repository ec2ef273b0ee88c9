//! Registration, fencing and shutdown of brokers.

use kalda_metadata::{BrokerRegistration, Endpoint, SupportedFeature};
use kalda_model::{BrokerEpoch, BrokerId, DirectoryId, Offset, Uuid};
use kalda_protocol::stored::metadata::{
    BrokerRegistrationChangeRecord, MetadataRecord, PartitionChangeRecord,
};

use crate::{Controller, Decision};

/// What a broker says of itself when it starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Its `node.id`.
    pub id: BrokerId,
    /// Drawn anew at every start of the process.
    pub incarnation_id: Uuid,
    /// Its advertised listeners.
    pub endpoints: Vec<Endpoint>,
    /// What its binary supports.
    pub features: Vec<SupportedFeature>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The ids of its log directories.
    pub log_dirs: Vec<DirectoryId>,
}

/// How a broker's former life ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastShutdown {
    /// Everything it had acknowledged or not was on disk.
    Clean,
    /// It may have lost what was not yet flushed.
    Unclean,
}

impl Controller<'_> {
    /// Registers a broker, fenced. Its epoch is the offset that the record will have,
    /// `next_offset`.
    #[must_use]
    pub fn register_broker(
        &self,
        registration: Registration,
        next_offset: Offset,
    ) -> Decision<BrokerEpoch> {
        let epoch = BrokerEpoch(next_offset.0);
        let registered = BrokerRegistration {
            id: registration.id,
            incarnation_id: registration.incarnation_id,
            epoch,
            endpoints: registration.endpoints,
            features: registration.features,
            rack: registration.rack,
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: registration.log_dirs,
        };
        let record = MetadataRecord::RegisterBroker(registered.to_record());
        Decision { records: vec![record], response: epoch }
    }

    /// Lets a registered broker lead and be seen; partitions without a leader that it holds in sync
    /// get it as their leader. After an unclean end every partition that it leads begins a new
    /// leader epoch: offsets that were lost may be written again, and clients must be able to tell.
    #[must_use]
    pub fn unfence_broker(&self, id: BrokerId, last: LastShutdown) -> Decision<()> {
        let Some(broker) = self.image.brokers.get(&id).filter(|broker| broker.fenced) else {
            return Decision { records: Vec::new(), response: () };
        };
        let mut records = vec![set_fenced(broker, false)];
        for topic in self.image.topics.iter() {
            for (index, partition) in &topic.partitions {
                let leads = partition.leader == id && last == LastShutdown::Unclean;
                let may_lead = partition.leader == BrokerId::NONE && partition.isr.contains(&id);
                if leads || may_lead {
                    records.push(MetadataRecord::PartitionChange(PartitionChangeRecord {
                        partition_id: *index,
                        topic_id: topic.id,
                        leader: id.0,
                        ..PartitionChangeRecord::default()
                    }));
                }
            }
        }
        Decision { records, response: () }
    }
}

/// The record that fences or unfences `broker`.
#[must_use]
pub fn set_fenced(broker: &BrokerRegistration, fenced: bool) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        fenced: if fenced { 1 } else { -1 },
        ..BrokerRegistrationChangeRecord::default()
    })
}
