//! Changes of the ISR: proposed to the controller, one at a time, and what its answer means (KIP-497).
//!
//! Between a proposal and its outcome nobody knows which ISR holds, so the high watermark is kept below what
//! either of them has.

use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch};

use crate::effects::Effects;
use crate::leader::{Brokers, is_eligible};
use crate::partition::{Partition, Role};

/// The ISR as this leader knows it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct IsrState {
    committed: Vec<BrokerId>,
    pending: Option<Pending>,
    /// Grows with every proposal, so that a late answer is told from the one that is waited for.
    proposals: u64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Pending {
    isr: Vec<BrokerId>,
    /// Whether somebody is added; or else somebody is taken out.
    added: Option<BrokerId>,
    number: u64,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Step {
    /// To be sent.
    Ready,
    /// An answer is waited for.
    Sent,
    /// Only the metadata will tell.
    Superseded,
}

impl IsrState {
    pub(crate) fn committed(&self) -> &[BrokerId] {
        &self.committed
    }

    /// Whether a replica may be in the ISR: assumes that an addition succeeds, and a removal fails.
    pub(crate) fn may_hold(&self, id: BrokerId) -> bool {
        let is_added = || self.pending.as_ref().is_some_and(|pending| pending.added == Some(id));
        self.committed.contains(&id) || is_added()
    }

    pub(crate) fn commit(&mut self, isr: &[BrokerId]) {
        self.pending = None;
        if self.committed != isr {
            self.committed = isr.to_vec();
        }
    }

    fn propose(&mut self, isr: Vec<BrokerId>, added: Option<BrokerId>) {
        self.proposals += 1;
        self.pending = Some(Pending { isr, added, number: self.proposals, step: Step::Ready });
    }
}

/// A change to be asked of the controller.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Proposal {
    /// To be handed back with the answer.
    pub number: u64,
    /// The epoch under which this replica leads.
    pub leader_epoch: LeaderEpoch,
    /// The state that is to be changed.
    pub partition_epoch: PartitionEpoch,
    /// The new ISR, with the registrations that its members fetched under; -1 where that is not known.
    pub isr: Vec<(BrokerId, BrokerEpoch)>,
}

/// What the controller answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AlterAnswer {
    /// This holds.
    Altered {
        /// The leader epoch there.
        leader_epoch: LeaderEpoch,
        /// The state's new number.
        partition_epoch: PartitionEpoch,
        /// The ISR that holds.
        isr: Vec<BrokerId>,
    },
    /// Nothing was changed, or nobody knows.
    Refused(AlterRefused),
}

/// Why the controller did not say that the change holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AlterRefused {
    /// It was not done for certain: INELIGIBLE_REPLICA, OPERATION_NOT_ATTEMPTED.
    NotDone,
    /// The partition is not what this leader thinks: UNKNOWN_TOPIC_ID, FENCED_LEADER_EPOCH,
    /// INVALID_UPDATE_VERSION, INVALID_REQUEST, NEW_LEADER_ELECTED. The metadata will tell.
    Superseded,
    /// Whether it was done is unknown: a timeout, NOT_CONTROLLER. It is asked again.
    Unknown,
}

impl Partition {
    /// The change that is to be asked of the controller now, if there is one. It is handed out once until
    /// its answer comes. `local_epoch` is this broker's own registration.
    pub fn take_proposal(&mut self, local_epoch: BrokerEpoch) -> Option<Proposal> {
        let Role::Leader(leading) = &self.role else { return None };
        let pending = self.isr.pending.as_mut().filter(|pending| pending.step == Step::Ready)?;
        pending.step = Step::Sent;
        let epoch = |id: BrokerId| match leading.remote(id) {
            _ if id == self.local => local_epoch,
            Some(remote) => remote.broker_epoch,
            None => BrokerEpoch(-1),
        };
        Some(Proposal {
            number: pending.number,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: pending.isr.iter().map(|id| (*id, epoch(*id))).collect(),
        })
    }

    /// The controller answered proposal `number`, or did not in time.
    pub fn on_alter_answer(&mut self, number: u64, answer: &AlterAnswer) -> Effects {
        let pending = self.isr.pending.as_mut();
        let Some(pending) = pending.filter(|pending| pending.number == number) else {
            return Effects::default();
        };
        match answer {
            AlterAnswer::Refused(AlterRefused::Unknown) => {
                pending.step = Step::Ready;
                return Effects { has_proposal: true, ..Effects::default() };
            }
            AlterAnswer::Refused(AlterRefused::Superseded) => {
                pending.step = Step::Superseded;
                return Effects::default();
            }
            AlterAnswer::Refused(AlterRefused::NotDone) => self.isr.pending = None,
            AlterAnswer::Altered { leader_epoch, partition_epoch, isr } => {
                if *leader_epoch != self.leader_epoch || *partition_epoch < self.partition_epoch {
                    pending.step = Step::Superseded;
                    return Effects::default();
                }
                self.isr.commit(isr);
                self.partition_epoch = *partition_epoch;
                if let Role::Leader(leading) = &mut self.role {
                    leading.on_assignment(self.local, &self.replicas, isr);
                }
            }
        }
        // Another high watermark may hold at once (KAFKA-13091).
        let mut effects = self.advance();
        if self.is_under_min_isr() {
            effects.waits_refused = Some(crate::effects::Refused::NotEnoughReplicas);
        }
        effects
    }

    /// From time to time, and when brokers changed: proposes to take out who lags, and to take in who could not
    /// be when it fetched last.
    pub fn on_tick(&mut self, brokers: &dyn Brokers, now_ms: i64) -> Effects {
        let lag_ms_max = self.settings.lag_time_max_ms;
        let Role::Leader(leading) = &mut self.role else { return Effects::default() };
        leading.on_time(now_ms);
        for remote in &mut leading.remotes {
            remote.is_eligible &= is_eligible(remote, brokers);
        }
        if self.isr.pending.is_none() {
            let committed = self.isr.committed();
            let lags = |id: &BrokerId| {
                *id != self.local
                    && !leading.remote(*id).is_some_and(|one| one.is_in_sync(now_ms, lag_ms_max))
            };
            if committed.iter().any(lags) {
                let kept = committed.iter().copied().filter(|id| !lags(id)).collect();
                self.isr.propose(kept, None);
                return Effects { has_proposal: true, ..self.advance() };
            }
        }
        let fresh = |remote: &&crate::remote::Remote| remote.is_in_sync(now_ms, lag_ms_max);
        let outside: Vec<BrokerId> = leading.remotes.iter().filter(fresh).map(|r| r.id).collect();
        let has_proposal = outside.into_iter().any(|id| self.maybe_expand(id, brokers));
        Effects { has_proposal, ..self.advance() }
    }

    /// Proposes to take a replica into the ISR if it has all that it must have.
    pub(crate) fn maybe_expand(&mut self, id: BrokerId, brokers: &dyn Brokers) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        let is_open = self.isr.pending.is_none()
            && self.replicas.contains(&id)
            && !self.isr.committed().contains(&id);
        let Some(remote) = leading.remote(id).filter(|_| is_open) else { return false };
        // It must have what was committed, and what earlier leaders may have committed without
        // this one's knowing: all up to the begin of the reign.
        let has_all =
            remote.end.is_some_and(|end| end >= self.high_watermark && end >= leading.epoch_start);
        if !has_all || !is_eligible(remote, brokers) {
            return false;
        }
        let mut isr = self.isr.committed().to_vec();
        isr.push(id);
        self.isr.propose(isr, Some(id));
        true
    }

    /// The other replicas that may be in the ISR, if this one leads: who leads next is one of them.
    #[must_use]
    pub fn others_in_isr(&self) -> Vec<BrokerId> {
        let Role::Leader(leading) = &self.role else { return Vec::new() };
        let ids = leading.remotes.iter().map(|remote| remote.id);
        ids.filter(|id| self.isr.may_hold(*id)).collect()
    }

    /// The ISR that the controller has committed.
    #[must_use]
    pub fn isr(&self) -> &[BrokerId] {
        self.isr.committed()
    }
}
