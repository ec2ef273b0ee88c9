//! What a broker's coming or going does to the partitions (`generateLeaderAndIsrUpdates`).
//!
//! Also the two tools of every decision about partitions: [`TopicRules`], what holds for a topic, and
//! [`Draft`], a decision in steps of which each sees what the former ones did.

use kalda_metadata::config::{MIN_INSYNC_REPLICAS, MinInsyncReplicas, topic_key};
use kalda_metadata::{ConfigResource, Delta, PartitionRegistration, TopicImage};
use kalda_model::{BrokerId, DirectoryId};
use kalda_protocol::stored::metadata::MetadataRecord;

use crate::Controller;
use crate::features::ELIGIBLE_LEADER_REPLICAS_VERSION;
use crate::partition_change::{Election, PartitionChange, Rules};
use crate::placement::directory_of_new_replica;

/// What happened to a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BrokerChange<'a> {
    /// It leads no more and is in no ISR; what it acknowledged it still has.
    Leaves(BrokerId),
    /// It comes back and may have lost what it acknowledged; its log directories are these. `None`
    /// when it is gone for good.
    MayHaveLost(BrokerId, Option<&'a [DirectoryId]>),
    /// It comes back with all that it had, except for what lay in directories that are not among
    /// these.
    Returns(BrokerId, &'a [DirectoryId]),
    /// It may lead again.
    MayLead(BrokerId),
}

/// What settings say for partitions of each topic, the cluster's part looked up once.
pub(crate) struct TopicRules<'a> {
    controller: &'a Controller<'a>,
    min_insync: MinInsyncReplicas,
    unclean_allowed: bool,
}

/// The same for one topic.
#[derive(Clone, Copy)]
pub(crate) struct OneTopicRules {
    pub(crate) min_insync: MinInsyncReplicas,
    pub(crate) unclean_allowed: bool,
}

const UNCLEAN_ELECTION: &str = "unclean.leader.election.enable";

impl<'a> TopicRules<'a> {
    pub(crate) fn new(controller: &'a Controller<'a>) -> Self {
        let sources = controller.sources();
        let key = topic_key(UNCLEAN_ELECTION).expect("the key is in the table");
        let unclean = sources.topic(key, None);
        Self {
            controller,
            min_insync: MinInsyncReplicas::resolve(&sources, None),
            unclean_allowed: unclean.value.as_deref() == Some("true"),
        }
    }

    pub(crate) fn of(&self, topic: &TopicImage) -> OneTopicRules {
        let resource = ConfigResource::topic(&topic.name);
        let set = |name| self.controller.image.configs.value(&resource, name);
        let min_insync = set(MIN_INSYNC_REPLICAS);
        OneTopicRules {
            min_insync: min_insync
                .map_or(self.min_insync, |value| MinInsyncReplicas::from_value(Some(value))),
            unclean_allowed: set(UNCLEAN_ELECTION)
                .map_or(self.unclean_allowed, |value| value == "true"),
        }
    }
}

impl OneTopicRules {
    /// The election that a partition without a leader gets.
    pub(crate) fn election(self) -> Election {
        if self.unclean_allowed { Election::Unclean } else { Election::Online }
    }
}

impl Controller<'_> {
    /// Whether eligible leader replicas are kept.
    pub(crate) fn elr_enabled(&self) -> bool {
        self.image.feature(ELIGIBLE_LEADER_REPLICAS_VERSION) > 0
    }

    /// Whether `id` is registered, unfenced and not about to stop.
    pub(crate) fn is_active(&self, id: BrokerId) -> bool {
        self.image.brokers.get(&id).is_some_and(|broker| broker.is_active())
    }

    /// Whether the log directory that `partition` has at `id` is online.
    pub(crate) fn has_online_replica(
        &self,
        partition: &PartitionRegistration,
        id: BrokerId,
    ) -> bool {
        let broker = self.image.brokers.get(&id);
        broker.is_some_and(|broker| broker.has_online(partition.directory_of(id)))
    }

    /// Builds one change: `wish` says what is wanted. `may_lead` is asked for the broker; its log
    /// directory is looked at here.
    pub(crate) fn change(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
        rules: OneTopicRules,
        wish: impl FnOnce(&mut PartitionChange<'_>),
    ) -> Option<MetadataRecord> {
        let may_lead = |id| self.is_active(id) && self.has_online_replica(partition, id);
        self.change_with(topic, index, partition, rules, &may_lead, wish)
    }

    /// The same where more is known of who may lead.
    pub(crate) fn change_with(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
        rules: OneTopicRules,
        may_lead: &dyn Fn(BrokerId) -> bool,
        wish: impl FnOnce(&mut PartitionChange<'_>),
    ) -> Option<MetadataRecord> {
        let new_directory = |id| directory_of_new_replica(self.image, id);
        let rules = Rules {
            elr_enabled: self.elr_enabled(),
            metadata_version: self.image.metadata_version(),
            min_insync: rules.min_insync,
            may_lead,
            new_directory: &new_directory,
        };
        let mut change = PartitionChange::of(partition, topic.id, index, rules);
        wish(&mut change);
        change.build().map(MetadataRecord::PartitionChange)
    }

    /// What `change` does to all partitions that `concerns` picks.
    pub(crate) fn update_partitions(
        &self,
        change: BrokerChange<'_>,
        concerns: &dyn Fn(&PartitionRegistration) -> bool,
    ) -> Vec<MetadataRecord> {
        let rules = TopicRules::new(self);
        let mut records = Vec::new();
        for topic in self.image.topics.iter() {
            let mut rules_of_topic = None;
            for (index, partition) in &topic.partitions {
                if change.concerns(partition) && concerns(partition) {
                    let rules = *rules_of_topic.get_or_insert_with(|| rules.of(topic));
                    records.extend(self.update(topic, *index, partition, rules, change));
                }
            }
        }
        records
    }

    /// What `change` does to one partition.
    pub(crate) fn update(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
        rules: OneTopicRules,
        change: BrokerChange<'_>,
    ) -> Option<MetadataRecord> {
        let goes_on = change.goes_on(partition);
        if goes_on && partition.leader != change.broker() {
            return None;
        }
        let is_online = |id| match change {
            BrokerChange::MayLead(back) if back == id => true,
            BrokerChange::MayLead(_) => self.is_active(id),
            change if change.broker() == id => goes_on,
            _ => self.is_active(id),
        };
        let may_lead = |id| is_online(id) && self.has_online_replica(partition, id);
        self.change_with(topic, index, partition, rules, &may_lead, |wanted| {
            wanted.election = rules.election();
            if let BrokerChange::MayLead(_) = change {
                return;
            }
            if goes_on {
                wanted.new_leader_epoch = true;
                return;
            }
            let id = change.broker();
            wanted.isr.retain(|member| *member != id);
            if change.loses(partition) {
                wanted.lossy = Some(id);
            }
        })
    }
}

impl BrokerChange<'_> {
    fn broker(self) -> BrokerId {
        match self {
            Self::Leaves(id)
            | Self::MayHaveLost(id, _)
            | Self::Returns(id, _)
            | Self::MayLead(id) => id,
        }
    }

    /// Whether `partition` may change by it.
    fn concerns(self, partition: &PartitionRegistration) -> bool {
        let id = self.broker();
        let is_in_sync = || partition.isr.contains(&id);
        match self {
            Self::Leaves(_) => is_in_sync(),
            Self::MayLead(_) => {
                partition.leader == BrokerId::NONE && partition.replicas.contains(&id)
            }
            Self::MayHaveLost(..) => is_in_sync() || partition.elr.contains(&id),
            Self::Returns(..) if self.goes_on(partition) => false,
            Self::Returns(..) => {
                is_in_sync() || (partition.elr.contains(&id) && self.loses(partition))
            }
        }
    }

    /// Whether the broker's new life leads `partition` on if the former one did: nobody else could
    /// lead it meanwhile. After a crash that takes a new leader epoch, for offsets that were lost may
    /// be written again, and clients must be able to tell.
    fn goes_on(self, partition: &PartitionRegistration) -> bool {
        let is_new_life = matches!(self, Self::MayHaveLost(..) | Self::Returns(..));
        is_new_life && is_only_replica(partition, self.broker()) && !self.loses(partition)
    }

    /// Whether the replica of `partition` may miss what it acknowledged. A directory that is gone
    /// took all with it. Without that the only replica is never struck: there is nobody who could
    /// know better, so that it has all there is.
    fn loses(self, partition: &PartitionRegistration) -> bool {
        let id = self.broker();
        let is_gone = |online: &[DirectoryId]| {
            let directory = partition.directory_of(id);
            directory == DirectoryId::LOST_DIRECTORY
                || (directory.0 > DirectoryId::LOST_DIRECTORY.0 && !online.contains(&directory))
        };
        match self {
            Self::Leaves(_) | Self::MayLead(_) => false,
            Self::MayHaveLost(_, None) => true,
            Self::MayHaveLost(_, Some(online)) => {
                is_gone(online) || !is_only_replica(partition, id)
            }
            Self::Returns(_, online) => is_gone(online),
        }
    }
}

fn is_only_replica(partition: &PartitionRegistration, id: BrokerId) -> bool {
    partition.replicas == [id]
}

/// Records of a decision that is made in steps.
pub(crate) struct Draft<'a> {
    controller: Controller<'a>,
    pub(crate) records: Vec<MetadataRecord>,
    /// The image with the first `replayed` records; made when a step needs it.
    delta: Delta,
    replayed: usize,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(controller: &Controller<'a>) -> Self {
        let delta = Delta::new(controller.image);
        Self { controller: *controller, records: Vec::new(), delta, replayed: 0 }
    }

    /// One step, on what the former ones made.
    pub(crate) fn step<R>(
        &mut self,
        decide: impl FnOnce(&Controller<'_>) -> (Vec<MetadataRecord>, R),
    ) -> R {
        for record in &self.records[self.replayed..] {
            self.delta.replay(record).expect("a decision fits the image that it was made on");
        }
        self.replayed = self.records.len();
        let now = Controller { image: self.delta.image(), ..self.controller };
        let (records, answer) = decide(&now);
        self.records.extend(records);
        answer
    }
}
