//! One function for every change of a partition (`PartitionChangeBuilder`).
//!
//! Fencing, shutdown, AlterPartition, elections and reassignments say what they want; what follows
//! of it (who leads, who is eligible, which epochs grow, whether a reassignment is complete) is
//! decided here and nowhere else. The order of the steps in [`PartitionChange::build`] matters.

use std::collections::BTreeMap;

use kalda_metadata::PartitionRegistration;
use kalda_metadata::config::MinInsyncReplicas;
use kalda_model::{BrokerId, DirectoryId, TopicId};
use kalda_protocol::stored::metadata::PartitionChangeRecord;

/// In a change record: the leader stays as it is.
pub(crate) const LEADER_UNCHANGED: i32 = -2;

/// The leader has all that was acknowledged.
pub(crate) const RECOVERED: i8 = 0;

/// The leader was elected although others may have had more (KIP-704).
pub(crate) const RECOVERING: i8 = 1;

/// From this `metadata.version` (3.6-IV0) on a smaller ISR does not need a new leader epoch.
const NO_BUMP_ON_SHRINK_SINCE: i16 = 12;

/// Who may be elected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Election {
    /// The first replica if it is in sync, whoever leads now.
    Preferred,
    /// Whoever is in sync; who leads goes on.
    Online,
    /// In need anyone that lives, at the cost of records.
    Unclean,
}

/// What holds for the whole cluster or topic while a partition changes.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Whether eligible leader replicas are kept (KIP-966).
    pub(crate) elr_enabled: bool,
    /// `metadata.version`.
    pub(crate) metadata_version: i16,
    /// The topic's `min.insync.replicas`.
    pub(crate) min_insync: MinInsyncReplicas,
    /// Whether a broker could lead now, as far as the broker goes and its log directory.
    pub(crate) may_lead: &'a dyn Fn(BrokerId) -> bool,
    /// The log directory of a replica that has none yet.
    pub(crate) new_directory: &'a dyn Fn(BrokerId) -> DirectoryId,
}

/// A change of one partition: set what is wanted, then [`Self::build`].
pub(crate) struct PartitionChange<'a> {
    partition: &'a PartitionRegistration,
    topic_id: TopicId,
    index: i32,
    rules: Rules<'a>,
    /// The ISR that is wanted; an election may replace it.
    pub(crate) isr: Vec<BrokerId>,
    pub(crate) replicas: Vec<BrokerId>,
    pub(crate) removing: Vec<BrokerId>,
    pub(crate) adding: Vec<BrokerId>,
    pub(crate) leader_recovery_state: i8,
    pub(crate) election: Election,
    /// A replica that may have lost what it acknowledged.
    pub(crate) lossy: Option<BrokerId>,
    /// Whether the leader begins a new epoch even if it stays.
    pub(crate) new_leader_epoch: bool,
    /// Replicas that are in another log directory now.
    pub(crate) moved: BTreeMap<BrokerId, DirectoryId>,
    elr: Vec<BrokerId>,
}

/// Whom an election chose.
struct Elected {
    leader: BrokerId,
    is_clean: bool,
}

impl<'a> PartitionChange<'a> {
    pub(crate) fn of(
        partition: &'a PartitionRegistration,
        topic_id: TopicId,
        index: i32,
        rules: Rules<'a>,
    ) -> Self {
        Self {
            partition,
            topic_id,
            index,
            rules,
            isr: partition.isr.clone(),
            replicas: partition.replicas.clone(),
            removing: partition.removing_replicas.clone(),
            adding: partition.adding_replicas.clone(),
            leader_recovery_state: partition.leader_recovery_state,
            election: Election::Online,
            lossy: None,
            new_leader_epoch: false,
            moved: BTreeMap::new(),
            elr: partition.elr.clone(),
        }
    }

    /// The record of all that changes; `None` when nothing does.
    pub(crate) fn build(mut self) -> Option<PartitionChangeRecord> {
        let mut record = PartitionChangeRecord {
            partition_id: self.index,
            topic_id: self.topic_id,
            ..PartitionChangeRecord::default()
        };
        let unchanged = record.clone();
        self.complete_reassignment();
        self.choose_eligible();
        self.elect(&mut record);
        self.bump_leader_epoch(&mut record);
        self.note_eligible_and_isr(&mut record);
        self.bump_leader_epoch_on_shrink(&mut record);
        self.note_last_known_leader(&mut record);
        self.note_assignment(&mut record);
        if record.leader_recovery_state < 0
            && self.leader_recovery_state != self.partition.leader_recovery_state
        {
            record.leader_recovery_state = self.leader_recovery_state;
        }
        (record != unchanged).then_some(record)
    }

    /// A reassignment is complete when every replica that it is to have is in sync (KAFKA-15665);
    /// who leaves the replicas leaves the ISR with them (KAFKA-9672, KAFKA-9631).
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let without_removed = |ids: &[BrokerId]| -> Vec<BrokerId> {
            ids.iter().copied().filter(|id| !self.removing.contains(id)).collect()
        };
        let (isr, replicas) = (without_removed(&self.isr), without_removed(&self.replicas));
        if !replicas.is_empty() && replicas.iter().all(|id| isr.contains(id)) {
            self.isr = isr;
            self.replicas = replicas;
            self.removing.clear();
            self.adding.clear();
        }
    }

    /// While fewer are in sync than must be, the high watermark stands still, so that whoever was
    /// in sync before stays eligible.
    fn choose_eligible(&mut self) {
        if !self.rules.elr_enabled {
            return;
        }
        let settled = self.replicas.iter().filter(|id| !self.adding.contains(id)).count();
        if self.isr.len() >= self.rules.min_insync.effective(settled) {
            self.elr.clear();
            return;
        }
        for id in &self.partition.isr {
            if !self.elr.contains(id) {
                self.elr.push(*id);
            }
        }
        let (isr, replicas, lossy) = (&self.isr, &self.replicas, self.lossy);
        self.elr.retain(|id| replicas.contains(id) && !isr.contains(id) && Some(*id) != lossy);
        self.elr.sort_unstable();
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let elected = self.election();
        let leader = elected.as_ref().map_or(BrokerId::NONE, |elected| elected.leader);
        if leader != self.partition.leader {
            record.leader = leader.0;
        }
        let Some(elected) = elected else { return };
        if !elected.is_clean {
            // Whatever others have that it has not is given up.
            record.leader = leader.0;
            record.isr = Some(vec![leader.0]);
            if self.partition.leader_recovery_state != RECOVERING {
                record.leader_recovery_state = RECOVERING;
            }
        } else if self.elr.contains(&leader) {
            self.isr = vec![leader];
            self.elr.retain(|id| *id != leader);
        }
    }

    fn election(&self) -> Option<Elected> {
        let clean = |leader| Some(Elected { leader, is_clean: true });
        let preferred = self.replicas.first().copied();
        if self.election == Election::Preferred
            && let Some(preferred) = preferred.filter(|id| self.is_valid_leader(*id))
        {
            return clean(preferred);
        }
        if self.is_valid_leader(self.partition.leader) {
            return clean(self.partition.leader);
        }
        if let Some(next) = self.replicas.iter().find(|id| self.is_valid_leader(**id)) {
            return clean(*next);
        }
        if self.election != Election::Unclean {
            return None;
        }
        // Who led last has most. It must live like any other (KAFKA-19522).
        let may_lead = |id: &&BrokerId| (self.rules.may_lead)(**id);
        let is_replica = |id: &&BrokerId| self.replicas.contains(id);
        let last = self.partition.last_known_elr.iter().find(|id| is_replica(id) && may_lead(id));
        let last = last.filter(|_| self.isr.is_empty() && self.elr.is_empty());
        let leader = *last.or_else(|| self.replicas.iter().find(may_lead))?;
        Some(Elected { leader, is_clean: false })
    }

    fn is_valid_leader(&self, id: BrokerId) -> bool {
        let has_all = self.isr.contains(&id) || (self.isr.is_empty() && self.elr.contains(&id));
        has_all && self.replicas.contains(&id) && (self.rules.may_lead)(id)
    }

    /// Nothing that a replica which leaves still asks for must be taken for news.
    fn bump_leader_epoch(&self, record: &mut PartitionChangeRecord) {
        let leaves = self.partition.replicas.iter().any(|id| !self.replicas.contains(id));
        if record.leader == LEADER_UNCHANGED && (leaves || self.new_leader_epoch) {
            record.leader = self.partition.leader.0;
        }
    }

    fn note_eligible_and_isr(&mut self, record: &mut PartitionChangeRecord) {
        let is_unclean = record.isr.is_some();
        if is_unclean || !self.rules.elr_enabled {
            self.elr.clear();
        }
        if !same_members(&self.elr, &self.partition.elr) {
            record.eligible_leader_replicas = Some(numbers(&self.elr));
        }
        // Without eligible replicas the last one in sync stays, so that it can be elected again.
        let may_be_set = !self.isr.is_empty() || self.rules.elr_enabled;
        if !is_unclean && may_be_set && !same_members(&self.isr, &self.partition.isr) {
            record.isr = Some(numbers(&self.isr));
        }
    }

    fn bump_leader_epoch_on_shrink(&self, record: &mut PartitionChangeRecord) {
        let is_needed = self.rules.metadata_version < NO_BUMP_ON_SHRINK_SINCE;
        if !is_needed || record.leader != LEADER_UNCHANGED {
            return;
        }
        let Some(isr) = &record.isr else { return };
        if self.partition.isr.iter().any(|id| !isr.contains(&id.0)) {
            record.leader = self.partition.leader.0;
        }
    }

    /// Who led when the last one left the ISR is kept for the operator, until someone leads again.
    fn note_last_known_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.rules.elr_enabled {
            return;
        }
        let known = &self.partition.last_known_elr;
        let leads = match record.leader {
            LEADER_UNCHANGED => self.partition.leader != BrokerId::NONE,
            leader => leader >= 0,
        };
        if record.isr.as_ref().is_some_and(Vec::is_empty) {
            let last = match self.partition.leader {
                BrokerId::NONE => self.partition.isr.first().copied(),
                leader => Some(leader),
            };
            if let Some(last) = last.filter(|last| known.as_slice() != [*last]) {
                record.last_known_elr = Some(vec![last.0]);
            }
        } else if leads && !known.is_empty() {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn note_assignment(&self, record: &mut PartitionChangeRecord) {
        let now = self.partition;
        let directory_of = |id: &BrokerId| match self.moved.get(id) {
            Some(directory) => *directory,
            None if now.replicas.contains(id) => now.directory_of(*id),
            None => (self.rules.new_directory)(*id),
        };
        let directories: Vec<DirectoryId> = self.replicas.iter().map(directory_of).collect();
        let is_known = now.directories.len() == now.replicas.len();
        if directories != now.directories && (is_known || !self.moved.is_empty()) {
            record.directories = Some(directories);
        }
        let changed = |now: &[BrokerId], then: &[BrokerId]| (now != then).then(|| numbers(then));
        record.replicas = changed(&now.replicas, &self.replicas);
        record.removing_replicas = changed(&now.removing_replicas, &self.removing);
        record.adding_replicas = changed(&now.adding_replicas, &self.adding);
    }
}

fn same_members(one: &[BrokerId], other: &[BrokerId]) -> bool {
    one.len() == other.len() && one.iter().all(|id| other.contains(id))
}

fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}
