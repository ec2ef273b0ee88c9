//! The state of a replica, and what both of its roles share (`kafka.cluster.Partition`).

use kalda_model::{BrokerId, LeaderEpoch, Offset, PartitionEpoch};

use crate::effects::{Effects, NewRole, Refused};
use crate::follower::Following;
use crate::isr::IsrState;
use crate::leader::{Before, Leading};

/// When a record counts as written on a replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Durability {
    /// When it is on disk: the default, see `docs/decisions/0003-acknowledged-means-durable.md`.
    Fsync,
    /// When it is in the page cache, as Kafka has it: chosen by `flush.messages` or `flush.ms`.
    PageCache,
}

/// What a producer waits for (`acks`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Acks {
    /// Nothing; no answer is sent.
    None,
    /// The leader has it.
    Leader,
    /// All in-sync replicas have it, and there are `min.insync.replicas` of them.
    All,
}

impl Acks {
    /// The value on the wire: 0, 1 or -1.
    #[must_use]
    pub fn from_wire(acks: i16) -> Option<Self> {
        match acks {
            0 => Some(Self::None),
            1 => Some(Self::Leader),
            -1 => Some(Self::All),
            _ => None,
        }
    }
}

/// What the topic's settings mean for its partitions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Settings {
    /// When a record counts as written.
    pub durability: Durability,
    /// `min.insync.replicas`.
    pub min_insync_replicas: usize,
    /// `unclean.leader.election.enable`: a leader may lack what was committed.
    pub unclean_leader_election: bool,
    /// `replica.lag.time.max.ms`: how long a follower may stay behind and be in sync.
    pub lag_time_max_ms: i64,
}

/// The controller's word on a partition.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    /// Who leads, or [`BrokerId::NONE`].
    pub leader: BrokerId,
    /// Grows with every election.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change.
    pub partition_epoch: PartitionEpoch,
    /// The assigned replicas.
    pub replicas: &'a [BrokerId],
    /// Those of them that are in sync.
    pub isr: &'a [BrokerId],
    /// The leader was elected uncleanly, and has not yet said that it recovered.
    pub is_recovering: bool,
}

/// What this replica does at the moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Role {
    Leader(Leading),
    Follower(Following),
}

/// One partition on one replica. Events arrive under the partition's own short lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Partition {
    pub(crate) local: BrokerId,
    pub(crate) leader: BrokerId,
    pub(crate) leader_epoch: LeaderEpoch,
    /// That of the last word heard; an older word is ignored.
    pub(crate) partition_epoch: PartitionEpoch,
    pub(crate) replicas: Vec<BrokerId>,
    /// The ISR that the controller committed last, and what of it is being changed.
    pub(crate) isr: IsrState,
    pub(crate) is_recovering: bool,
    pub(crate) role: Role,
    /// The end of the log, written or not.
    pub(crate) log_end: Offset,
    /// The end of what is on disk.
    pub(crate) flushed: Offset,
    /// Consumers read below it; it never goes back while this replica leads.
    pub(crate) high_watermark: Offset,
    pub(crate) settings: Settings,
}

impl Partition {
    /// A partition of the broker `local` whose log ends at `log_end`, all of it on disk, and was known to be
    /// committed below `high_watermark` (its checkpoint, or the start of the log).
    #[must_use]
    pub fn new(
        local: BrokerId,
        settings: Settings,
        log_end: Offset,
        high_watermark: Offset,
    ) -> Self {
        Self {
            local,
            leader: BrokerId::NONE,
            leader_epoch: LeaderEpoch::UNKNOWN,
            partition_epoch: PartitionEpoch(-1),
            replicas: Vec::new(),
            isr: IsrState::default(),
            is_recovering: false,
            role: Role::Follower(Following::default()),
            log_end,
            flushed: log_end,
            high_watermark: high_watermark.min(log_end),
            settings,
        }
    }

    /// The settings of its topic changed.
    pub fn on_settings(&mut self, settings: Settings) -> Effects {
        self.settings = settings;
        self.advance()
    }

    /// The controller's word on the partition changed. An older word than the last is ignored.
    ///
    /// If a leader epoch begins (`Effects::new_role`), the caller notes it in the log before it serves
    /// anything: what this replica leads begins at the log's end of now.
    pub fn on_metadata(&mut self, metadata: &Metadata<'_>, now_ms: i64) -> Effects {
        let is_older = metadata.partition_epoch < self.partition_epoch
            || metadata.leader_epoch < self.leader_epoch;
        if is_older {
            return Effects::default();
        }
        let is_new_epoch = metadata.leader_epoch > self.leader_epoch;
        let was_leader = self.is_leader();
        // The same word twice says nothing of a proposal that is on its way.
        if metadata.partition_epoch > self.partition_epoch || is_new_epoch {
            self.isr.commit(metadata.isr);
        }
        // Nobody else led meanwhile, to whose history the others may have been cut.
        let is_next_epoch = metadata.leader_epoch.0 - 1 == self.leader_epoch.0;
        self.leader = metadata.leader;
        self.leader_epoch = metadata.leader_epoch;
        self.partition_epoch = metadata.partition_epoch;
        self.is_recovering = metadata.is_recovering;
        if self.replicas != metadata.replicas {
            self.replicas = metadata.replicas.to_vec();
        }
        let mut new_role = None;
        if is_new_epoch && self.leader == self.local {
            self.lead(if is_next_epoch { Before::Known } else { Before::Missed }, now_ms);
            new_role = Some(NewRole::Leader(self.leader_epoch));
        } else if is_new_epoch {
            self.role = Role::Follower(Following::default());
            new_role = Some(NewRole::Follower);
        }
        if let Role::Leader(leading) = &mut self.role {
            leading.on_assignment(self.local, &self.replicas, self.isr.committed());
        }
        let mut effects = self.advance();
        effects.new_role = new_role;
        effects.waits_refused = if was_leader && !self.is_leader() {
            Some(Refused::NotLeader)
        } else if self.is_leader() && self.is_under_min_isr() {
            Some(Refused::NotEnoughReplicas)
        } else {
            None
        };
        effects
    }

    /// The log grew to `log_end`.
    pub fn on_append(&mut self, log_end: Offset) -> Effects {
        assert!(log_end >= self.log_end, "an append never shortens the log");
        self.log_end = log_end;
        if let Role::Leader(leading) = &mut self.role {
            leading.on_append(log_end);
        }
        self.advance()
    }

    /// Everything below `flushed` is on disk.
    pub fn on_flushed(&mut self, flushed: Offset) -> Effects {
        assert!(flushed <= self.log_end, "only what was written can be flushed");
        self.flushed = self.flushed.max(flushed);
        self.advance()
    }

    /// Whether this replica answers a client that knows the leader epoch `known`.
    ///
    /// # Errors
    /// It does not lead, or the two disagree about the epoch.
    pub fn check_leader(&self, known: LeaderEpoch) -> Result<(), Refused> {
        self.check_epoch(known)?;
        if self.is_leader() { Ok(()) } else { Err(Refused::NotLeader) }
    }

    /// The same for a reader that may be served by a follower too (KIP-392).
    ///
    /// # Errors
    /// The two disagree about the epoch.
    pub fn check_epoch(&self, known: LeaderEpoch) -> Result<(), Refused> {
        if known != LeaderEpoch::UNKNOWN {
            if known < self.leader_epoch {
                return Err(Refused::FencedLeaderEpoch);
            }
            if known > self.leader_epoch {
                return Err(Refused::UnknownLeaderEpoch);
            }
        }
        Ok(())
    }

    /// Whether a batch may be appended for a producer that waits for `acks`.
    ///
    /// # Errors
    /// This replica does not lead, or too few replicas are in sync.
    pub fn check_append(&self, acks: Acks) -> Result<(), Refused> {
        self.check_leader(LeaderEpoch::UNKNOWN)?;
        if acks == Acks::All && self.is_under_min_isr() {
            return Err(Refused::NotEnoughReplicas);
        }
        Ok(())
    }

    /// Whether a producer that waits for `acks` of everything below `end` can be answered.
    #[must_use]
    pub fn is_acknowledged(&self, end: Offset, acks: Acks) -> bool {
        match acks {
            Acks::None => true,
            Acks::Leader => self.local_end() >= end,
            Acks::All => self.high_watermark >= end,
        }
    }

    /// Whether this replica leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Who leads, or [`BrokerId::NONE`].
    #[must_use]
    pub fn leader(&self) -> BrokerId {
        self.leader
    }

    /// Consumers read below this offset.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The epoch under which this replica appends or follows.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// When a record counts as written.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.settings.durability
    }

    /// Whether fewer replicas are in sync than `min.insync.replicas` asks for. Only what the controller has
    /// committed counts.
    #[must_use]
    pub fn is_under_min_isr(&self) -> bool {
        let required = self.settings.min_insync_replicas.min(self.replicas.len());
        self.isr.committed().len() < required
    }

    /// The end of what counts as written here.
    pub(crate) fn local_end(&self) -> Offset {
        match self.settings.durability {
            Durability::Fsync => self.flushed,
            Durability::PageCache => self.log_end,
        }
    }

    /// Moves the high watermark as far as it goes.
    pub(crate) fn advance(&mut self) -> Effects {
        let local_end = self.local_end();
        let mut effects = Effects { local_end: Some(local_end), ..Effects::default() };
        if let Role::Leader(leading) = &self.role
            // What too few replicas have is not committed (KAFKA-15583): whoever is elected from the
            // ELR must have all of it.
            && !self.is_under_min_isr()
        {
            let reached =
                leading.common_end(local_end, self.high_watermark, &self.isr, &self.settings);
            if reached > self.high_watermark {
                self.high_watermark = reached;
                effects.high_watermark = Some(reached);
            }
        }
        assert!(self.high_watermark <= self.log_end, "the high watermark is within the log");
        effects
    }
}

#[cfg(test)]
mod tests;
