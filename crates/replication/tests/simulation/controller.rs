//! A controller of one partition: registrations, fencing, elections with ELR, AlterPartition,
//! reassignment. As much of `kafka.controller` as replication relies on.

use std::collections::BTreeMap;

use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch};
use kalda_replication::{AlterAnswer, AlterRefused, BrokerState, Brokers, Metadata, Proposal};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Registered {
    pub(crate) epoch: BrokerEpoch,
    pub(crate) is_fenced: bool,
    pub(crate) is_stopping: bool,
}

/// All that the metadata says; every node has some version of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct View {
    pub(crate) version: u64,
    pub(crate) leader: BrokerId,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    pub(crate) replicas: Vec<BrokerId>,
    pub(crate) isr: Vec<BrokerId>,
    pub(crate) elr: Vec<BrokerId>,
    /// Where a reassignment leads to.
    pub(crate) target: Option<Vec<BrokerId>>,
    pub(crate) brokers: BTreeMap<BrokerId, Registered>,
}

impl View {
    pub(crate) fn metadata(&self) -> Metadata<'_> {
        Metadata {
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            replicas: &self.replicas,
            isr: &self.isr,
            is_recovering: false,
        }
    }
}

impl Brokers for View {
    fn state(&self, id: BrokerId) -> Option<BrokerState> {
        let broker = self.brokers.get(&id)?;
        let is_active = !broker.is_fenced && !broker.is_stopping;
        Some(BrokerState { epoch: broker.epoch, is_active })
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Controller {
    pub(crate) view: View,
    pub(crate) min_isr: usize,
    next_epoch: i64,
}

impl Controller {
    pub(crate) fn new(replicas: &[BrokerId], all: &[BrokerId], min_isr: usize) -> Self {
        let registered = |id: &BrokerId| {
            let epoch = BrokerEpoch(i64::from(id.0));
            (*id, Registered { epoch, is_fenced: false, is_stopping: false })
        };
        let view = View {
            version: 1,
            leader: replicas[0],
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
            elr: Vec::new(),
            target: None,
            brokers: all.iter().map(registered).collect(),
        };
        Self { view, min_isr, next_epoch: 1000 }
    }

    /// A broker starts. One that lost its disk has nothing that it may be trusted with.
    pub(crate) fn register(&mut self, id: BrokerId, has_lost_data: bool) -> BrokerEpoch {
        self.next_epoch += 1;
        let epoch = BrokerEpoch(self.next_epoch);
        self.fence(id);
        if has_lost_data {
            self.forget(id);
        }
        let broker = Registered { epoch, is_fenced: true, is_stopping: false };
        self.view.brokers.insert(id, broker);
        self.view.version += 1;
        epoch
    }

    /// Nothing that a broker once had counts any more.
    pub(crate) fn forget(&mut self, id: BrokerId) {
        self.fence(id);
        if self.view.isr.contains(&id) || self.view.elr.contains(&id) {
            self.view.isr.retain(|other| *other != id);
            self.view.elr.retain(|other| *other != id);
            self.view.partition_epoch.0 += 1;
            self.view.version += 1;
        }
    }

    pub(crate) fn unfence(&mut self, id: BrokerId, epoch: BrokerEpoch) {
        let Some(broker) = self.view.brokers.get_mut(&id) else { return };
        if broker.epoch == epoch && broker.is_fenced {
            broker.is_fenced = false;
            self.change(None, None);
        }
    }

    pub(crate) fn fence(&mut self, id: BrokerId) {
        let Some(broker) = self.view.brokers.get_mut(&id) else { return };
        if !broker.is_fenced {
            broker.is_fenced = true;
            let isr = self.without(id);
            self.change(Some(isr), None);
        }
    }

    pub(crate) fn begin_shutdown(&mut self, id: BrokerId) {
        let Some(broker) = self.view.brokers.get_mut(&id) else { return };
        if !broker.is_stopping {
            broker.is_stopping = true;
            let isr = self.without(id);
            self.change(Some(isr), None);
        }
    }

    pub(crate) fn reassign(&mut self, target: Vec<BrokerId>) {
        let mut replicas = target.clone();
        replicas.extend(self.view.replicas.iter().filter(|id| !target.contains(id)));
        self.view.target = Some(target);
        self.change(None, Some(replicas));
    }

    /// Another in-sync replica leads, as after a look for the preferred one.
    pub(crate) fn elect_other(&mut self) {
        let other =
            self.view.isr.iter().copied().find(|id| *id != self.view.leader && self.is_active(*id));
        if let Some(other) = other {
            self.view.leader = other;
            self.view.leader_epoch.0 += 1;
            self.view.partition_epoch.0 += 1;
            self.view.version += 1;
        }
    }

    pub(crate) fn alter(&mut self, from: BrokerId, proposal: &Proposal) -> AlterAnswer {
        let refused = AlterAnswer::Refused;
        let view = &self.view;
        if proposal.leader_epoch > view.leader_epoch
            || proposal.partition_epoch > view.partition_epoch
        {
            return refused(AlterRefused::Unknown);
        }
        let is_current = view.leader == from
            && proposal.leader_epoch == view.leader_epoch
            && proposal.partition_epoch == view.partition_epoch;
        let isr: Vec<BrokerId> = proposal.isr.iter().map(|(id, _)| *id).collect();
        if !is_current || !isr.contains(&from) || isr.iter().any(|id| !view.replicas.contains(id)) {
            return refused(AlterRefused::Superseded);
        }
        let is_eligible = |(id, epoch): &(BrokerId, BrokerEpoch)| {
            view.state(*id)
                .is_some_and(|broker| broker.is_active && (epoch.0 < 0 || broker.epoch == *epoch))
        };
        if !proposal.isr.iter().all(is_eligible) {
            return refused(AlterRefused::NotDone);
        }
        self.change(Some(isr), None);
        if self.view.leader != from {
            return refused(AlterRefused::Superseded);
        }
        AlterAnswer::Altered {
            leader_epoch: self.view.leader_epoch,
            partition_epoch: self.view.partition_epoch,
            isr: self.view.isr.clone(),
        }
    }

    fn without(&self, id: BrokerId) -> Vec<BrokerId> {
        self.view.isr.iter().copied().filter(|other| *other != id).collect()
    }

    fn is_active(&self, id: BrokerId) -> bool {
        self.view.state(id).is_some_and(|broker| broker.is_active)
    }

    /// One change, in Kafka's order: reassignment, target ELR, election, epochs.
    fn change(&mut self, isr: Option<Vec<BrokerId>>, replicas: Option<Vec<BrokerId>>) {
        let old_isr = self.view.isr.clone();
        let old_replicas = self.view.replicas.clone();
        let mut isr = isr.unwrap_or_else(|| old_isr.clone());
        let mut replicas = replicas.unwrap_or_else(|| old_replicas.clone());
        if let Some(target) = &self.view.target
            && target.iter().all(|id| isr.contains(id))
            && isr.iter().filter(|id| target.contains(id)).count() >= self.min_isr.min(target.len())
        {
            replicas = target.clone();
            isr.retain(|id| replicas.contains(id));
            self.view.target = None;
        }
        let mut elr: Vec<BrokerId> = Vec::new();
        if isr.len() < self.min_isr.min(replicas.len()) {
            let known = self.view.elr.iter().chain(&old_isr).copied();
            for id in known.filter(|id| !isr.contains(id) && replicas.contains(id)) {
                if !elr.contains(&id) {
                    elr.push(id);
                }
            }
        }
        let mut leader = self.view.leader;
        if leader == BrokerId::NONE || !isr.contains(&leader) || !self.is_active(leader) {
            let from_isr =
                replicas.iter().copied().find(|id| isr.contains(id) && self.is_active(*id));
            leader = from_isr.unwrap_or(BrokerId::NONE);
            let from_elr = elr.iter().copied().find(|id| self.is_active(*id));
            if let (BrokerId::NONE, true, Some(elected)) = (leader, isr.is_empty(), from_elr) {
                leader = elected;
                isr = vec![elected];
                elr.retain(|id| *id != elected);
            }
        }
        let loses_replica = old_replicas.iter().any(|id| !replicas.contains(id));
        if leader != self.view.leader || loses_replica {
            self.view.leader_epoch.0 += 1;
        }
        let is_changed = leader != self.view.leader
            || isr != self.view.isr
            || elr != self.view.elr
            || replicas != self.view.replicas;
        if is_changed {
            self.view.partition_epoch.0 += 1;
        }
        self.view.leader = leader;
        self.view.isr = isr;
        self.view.elr = elr;
        self.view.replicas = replicas;
        self.view.version += 1;
    }
}

/// An offset as an index.
pub(crate) fn at(offset: Offset) -> usize {
    usize::try_from(offset.0).unwrap()
}
