//! The leader's part: what the other replicas have, and how far the high watermark goes with that.

use kalda_model::{BrokerEpoch, BrokerId, Offset};

use crate::effects::{Effects, Refused};
use crate::isr::IsrState;
use crate::partition::{Partition, Role, Settings};
use crate::remote::Remote;

/// What the metadata says of a broker at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BrokerState {
    /// The epoch of its registration.
    pub epoch: BrokerEpoch,
    /// Whether it may be in an ISR: neither fenced nor on its way to a shutdown (KIP-841).
    pub is_active: bool,
}

/// Where a leader looks brokers up: the newest metadata.
pub trait Brokers {
    /// The state of a broker, if it is registered.
    fn state(&self, id: BrokerId) -> Option<BrokerState>;
}

/// A fetch of another replica that found its history to be ours.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaFetch {
    /// Who fetches.
    pub replica: BrokerId,
    /// Under which registration; -1 if it did not say (KIP-903).
    pub broker_epoch: BrokerEpoch,
    /// From which offset on: it has all below.
    pub offset: Offset,
    /// Where its log starts, if it said so.
    pub log_start: Option<Offset>,
}

/// What this replica knows of the epoch before the one that begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Before {
    /// All: it was told of it.
    Known,
    /// There were others, of which it was not told.
    Missed,
}

/// A reign: from the election of this replica until somebody else is elected.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Leading {
    /// Where the log ended when the epoch began.
    pub(crate) epoch_start: Offset,
    /// The other replicas, in the order of the assignment. One in the ISR is always among them.
    pub(crate) remotes: Vec<Remote>,
    /// The time of the last event that had one.
    pub(crate) now_ms: i64,
}

impl Leading {
    /// The replicas are these from now on.
    pub(crate) fn on_assignment(
        &mut self,
        local: BrokerId,
        replicas: &[BrokerId],
        isr: &[BrokerId],
    ) {
        // A member of the ISR counts even if the assignment forgot it (KAFKA-9672).
        let is_here = |id: BrokerId| id != local && (replicas.contains(&id) || isr.contains(&id));
        self.remotes.retain(|remote| is_here(remote.id));
        for id in replicas.iter().chain(isr).copied().filter(|id| is_here(*id)) {
            if self.remotes.iter().all(|remote| remote.id != id) {
                self.remotes.push(Remote::new(id));
            }
        }
        for remote in &mut self.remotes {
            // Who was taken out of the ISR holds nothing up until it fetches again.
            remote.is_eligible &= isr.contains(&remote.id);
        }
    }

    pub(crate) fn on_append(&mut self, log_end: Offset) {
        for remote in &mut self.remotes {
            remote.on_append(log_end);
        }
    }

    pub(crate) fn remote(&self, id: BrokerId) -> Option<&Remote> {
        self.remotes.iter().find(|remote| remote.id == id)
    }

    pub(crate) fn on_time(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        for remote in &mut self.remotes {
            remote.stamp(now_ms);
        }
    }

    /// Below this offset every replica has everything that may count: the ISR, whoever is proposed
    /// for it, and whoever is about to be.
    pub(crate) fn common_end(
        &self,
        local_end: Offset,
        high_watermark: Offset,
        isr: &IsrState,
        settings: &Settings,
    ) -> Offset {
        let mut common = local_end;
        for remote in &self.remotes {
            let end = remote.end.unwrap_or(Offset(-1));
            let is_joining = || {
                remote.is_eligible
                    && end >= high_watermark
                    && remote.is_in_sync(self.now_ms, settings.lag_time_max_ms)
            };
            if isr.may_hold(remote.id) || is_joining() {
                common = common.min(end);
            }
        }
        common
    }
}

impl Partition {
    /// Begins a reign, or goes on with one after a re-election.
    pub(crate) fn lead(&mut self, before: Before, now_ms: i64) {
        let epoch_start = self.log_end;
        let remotes = match &mut self.role {
            Role::Leader(leading) if before == Before::Known => {
                std::mem::take(&mut leading.remotes)
            }
            Role::Leader(_) | Role::Follower(_) => Vec::new(),
        };
        let mut leading = Leading { epoch_start, remotes, now_ms };
        leading.on_assignment(self.local, &self.replicas, self.isr.committed());
        for remote in &mut leading.remotes {
            if self.isr.committed().contains(&remote.id) {
                remote.presume_caught_up(now_ms);
            }
        }
        self.role = Role::Leader(leading);
    }

    /// Whether another replica may fetch here.
    ///
    /// # Errors
    /// This replica does not lead under the epoch that is `known` there, the one who asks is not
    /// assigned, or it speaks for a registration that another one has replaced.
    pub fn check_replica(
        &self,
        known: kalda_model::LeaderEpoch,
        replica: BrokerId,
        broker_epoch: BrokerEpoch,
        brokers: &dyn Brokers,
    ) -> Result<(), Refused> {
        self.check_leader(known)?;
        if replica == self.local || !self.replicas.contains(&replica) {
            // It may have heard of an assignment that we have yet to hear of.
            let has_said = known != kalda_model::LeaderEpoch::UNKNOWN;
            return Err(if has_said { Refused::UnknownLeaderEpoch } else { Refused::NotLeader });
        }
        let registered = brokers.state(replica).map(|state| state.epoch);
        if broker_epoch.0 >= 0 && registered.is_some_and(|registered| registered > broker_epoch) {
            return Err(Refused::NotLeader);
        }
        Ok(())
    }

    /// Another replica fetches, and its history is ours up to its offset. The caller has asked
    /// [`Partition::check_replica`].
    pub fn on_replica_fetch(
        &mut self,
        fetch: ReplicaFetch,
        brokers: &dyn Brokers,
        now_ms: i64,
    ) -> Effects {
        let log_end = self.log_end;
        let Role::Leader(leading) = &mut self.role else { return Effects::default() };
        leading.on_time(now_ms);
        let found = leading.remotes.iter_mut().find(|remote| remote.id == fetch.replica);
        let Some(remote) = found else { return Effects::default() };
        remote.on_fetch(fetch.offset, log_end, now_ms);
        remote.log_start = fetch.log_start;
        remote.broker_epoch = fetch.broker_epoch;
        remote.is_eligible = is_eligible(remote, brokers);
        let mut effects = Effects {
            has_proposal: self.maybe_expand(fetch.replica, brokers),
            ..Effects::default()
        };
        // Who is proposed counts from now on.
        let advanced = self.advance();
        effects.high_watermark = advanced.high_watermark;
        effects
    }

    /// Where the log ended when this reign began: what consumers are told as the end may not be before.
    #[must_use]
    pub fn epoch_start(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader(leading) => Some(leading.epoch_start),
            Role::Follower(_) => None,
        }
    }

    /// Whether other replicas are to be looked after by [`Partition::on_tick`].
    #[must_use]
    pub fn has_followers(&self) -> bool {
        matches!(&self.role, Role::Leader(leading) if !leading.remotes.is_empty())
    }

    /// The earliest start of the logs of this leader, whose own is `log_start`, and of all replicas that are alive.
    #[must_use]
    pub fn low_watermark(&self, log_start: Offset, brokers: &dyn Brokers) -> Offset {
        let Role::Leader(leading) = &self.role else { return log_start };
        let alive = leading
            .remotes
            .iter()
            .filter(|remote| brokers.state(remote.id).is_some_and(|state| state.is_active));
        let starts = alive.map(|remote| remote.log_start.unwrap_or(Offset(-1)));
        starts.fold(log_start, Offset::min)
    }

    /// On how many replicas everything below the high watermark is, this one included.
    #[must_use]
    pub fn replicas_at_high_watermark(&self) -> usize {
        let Role::Leader(leading) = &self.role else { return 0 };
        let high_watermark = self.high_watermark;
        let has_all = |remote: &&Remote| remote.end.is_some_and(|end| end >= high_watermark);
        1 + leading.remotes.iter().filter(has_all).count()
    }
}

/// Whether a replica may be in the ISR: registered, active, and it fetched under this very registration.
pub(crate) fn is_eligible(remote: &Remote, brokers: &dyn Brokers) -> bool {
    brokers.state(remote.id).is_some_and(|state| {
        state.is_active && (remote.broker_epoch.0 < 0 || remote.broker_epoch == state.epoch)
    })
}
