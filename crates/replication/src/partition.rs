//! The leader's state machine (`kafka.cluster.Partition`), for the replicas of one node.

use kalda_model::{BrokerId, LeaderEpoch, Offset, PartitionEpoch};

/// When a record counts as written on a replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// When it is on disk: the default, see `docs/decisions/0003-acknowledged-means-durable.md`.
    Fsync,
    /// When it is in the page cache, as Kafka has it: chosen by `flush.messages` or `flush.ms`.
    PageCache,
}

/// What a producer waits for (`acks`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// Why this replica does not serve a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Another broker leads, or none.
    NotLeader,
    /// The client's leader epoch is older than ours: it must refresh its metadata.
    FencedLeaderEpoch,
    /// The client's leader epoch is newer than ours: we have yet to hear of it.
    UnknownLeaderEpoch,
    /// Fewer replicas are in sync than `min.insync.replicas` asks for.
    NotEnoughReplicas,
}

/// What the server must do after an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// The high watermark moved here: wake consumers, and producers with `acks=all`.
    pub high_watermark: Option<Offset>,
    /// The leader's own copy now counts as written up to here: wake producers with `acks=1`.
    pub local_end: Option<Offset>,
}

/// One partition on one replica. Events arrive under the partition's own short lock.
#[derive(Clone, Debug)]
pub struct Partition {
    local: BrokerId,
    leader: BrokerId,
    leader_epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    isr: Vec<BrokerId>,
    replica_count: usize,
    /// The end of the log, written or not.
    log_end: Offset,
    /// The end of what is on disk.
    flushed: Offset,
    /// Consumers read below it; it never goes back while this replica leads.
    high_watermark: Offset,
    durability: Durability,
    min_insync_replicas: usize,
}

impl Partition {
    /// A partition of the broker `local` whose log ends at `log_end`, all of it on disk.
    #[must_use]
    pub fn new(local: BrokerId, durability: Durability, log_end: Offset) -> Self {
        Self {
            local,
            leader: BrokerId::NONE,
            leader_epoch: LeaderEpoch::UNKNOWN,
            partition_epoch: PartitionEpoch(-1),
            isr: Vec::new(),
            replica_count: 0,
            log_end,
            flushed: log_end,
            high_watermark: Offset::ZERO,
            durability,
            min_insync_replicas: 1,
        }
    }

    /// The settings of its topic changed.
    pub fn on_settings(&mut self, durability: Durability, min_insync_replicas: usize) -> Effects {
        self.durability = durability;
        self.min_insync_replicas = min_insync_replicas;
        self.advance()
    }

    /// The controller's word on the partition changed. An older word than the last is ignored.
    pub fn on_metadata(
        &mut self,
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        isr: &[BrokerId],
        replica_count: usize,
    ) -> Effects {
        if partition_epoch < self.partition_epoch {
            return Effects::default();
        }
        self.leader = leader;
        self.leader_epoch = leader_epoch;
        self.partition_epoch = partition_epoch;
        self.isr = isr.to_vec();
        self.replica_count = replica_count;
        self.advance()
    }

    /// The log grew to `log_end`.
    pub fn on_append(&mut self, log_end: Offset) -> Effects {
        assert!(log_end >= self.log_end, "an append never shortens the log");
        self.log_end = log_end;
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
        if known != LeaderEpoch::UNKNOWN {
            if known < self.leader_epoch {
                return Err(Refused::FencedLeaderEpoch);
            }
            if known > self.leader_epoch {
                return Err(Refused::UnknownLeaderEpoch);
            }
        }
        if self.leader == self.local { Ok(()) } else { Err(Refused::NotLeader) }
    }

    /// Whether a batch may be appended for a producer that waits for `acks`.
    ///
    /// # Errors
    /// This replica does not lead, or too few replicas are in sync.
    pub fn check_append(&self, acks: Acks) -> Result<(), Refused> {
        self.check_leader(LeaderEpoch::UNKNOWN)?;
        if acks == Acks::All && self.isr.len() < self.effective_min_isr() {
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
        self.durability
    }

    fn effective_min_isr(&self) -> usize {
        self.min_insync_replicas.min(self.replica_count)
    }

    /// The end of what counts as written here.
    fn local_end(&self) -> Offset {
        match self.durability {
            Durability::Fsync => self.flushed,
            Durability::PageCache => self.log_end,
        }
    }

    fn advance(&mut self) -> Effects {
        let local_end = self.local_end();
        let mut effects = Effects { local_end: Some(local_end), high_watermark: None };
        let alone = self.isr == [self.local];
        if self.leader == self.local && alone && self.isr.len() >= self.effective_min_isr() {
            let reached = local_end.max(self.high_watermark);
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
mod tests {
    use super::*;

    const ME: BrokerId = BrokerId(1);

    fn leading(durability: Durability) -> Partition {
        let mut partition = Partition::new(ME, durability, Offset(0));
        partition.on_metadata(ME, LeaderEpoch(3), PartitionEpoch(0), &[ME], 1);
        partition
    }

    #[test]
    fn the_high_watermark_waits_for_the_disk() {
        let mut partition = leading(Durability::Fsync);
        assert_eq!(partition.on_append(Offset(10)).high_watermark, None);
        assert!(!partition.is_acknowledged(Offset(10), Acks::All));
        assert!(!partition.is_acknowledged(Offset(10), Acks::Leader));
        assert_eq!(partition.on_flushed(Offset(6)).high_watermark, Some(Offset(6)));
        assert_eq!(partition.on_flushed(Offset(10)).high_watermark, Some(Offset(10)));
        assert!(partition.is_acknowledged(Offset(10), Acks::All));
    }

    #[test]
    fn in_page_cache_mode_an_append_is_enough() {
        let mut partition = leading(Durability::PageCache);
        assert_eq!(partition.on_append(Offset(10)).high_watermark, Some(Offset(10)));
    }

    #[test]
    fn a_late_flush_report_moves_nothing_back() {
        let mut partition = leading(Durability::Fsync);
        partition.on_append(Offset(10));
        partition.on_flushed(Offset(10));
        assert_eq!(partition.on_flushed(Offset(4)).high_watermark, None);
        assert_eq!(partition.high_watermark(), Offset(10));
    }

    #[test]
    fn epochs_fence_both_ways() {
        let partition = leading(Durability::Fsync);
        assert_eq!(partition.check_leader(LeaderEpoch(3)), Ok(()));
        assert_eq!(partition.check_leader(LeaderEpoch::UNKNOWN), Ok(()));
        assert_eq!(partition.check_leader(LeaderEpoch(2)), Err(Refused::FencedLeaderEpoch));
        assert_eq!(partition.check_leader(LeaderEpoch(4)), Err(Refused::UnknownLeaderEpoch));
    }

    #[test]
    fn without_leadership_nothing_is_appended() {
        let mut partition = leading(Durability::Fsync);
        partition.on_metadata(BrokerId::NONE, LeaderEpoch(4), PartitionEpoch(1), &[ME], 1);
        assert_eq!(partition.check_append(Acks::Leader), Err(Refused::NotLeader));
    }

    #[test]
    fn too_few_in_sync_refuse_only_those_who_wait_for_all() {
        let mut partition = leading(Durability::Fsync);
        partition.on_settings(Durability::Fsync, 2);
        partition.on_metadata(ME, LeaderEpoch(3), PartitionEpoch(1), &[ME], 2);
        assert_eq!(partition.check_append(Acks::All), Err(Refused::NotEnoughReplicas));
        assert_eq!(partition.check_append(Acks::Leader), Ok(()));
    }

    #[test]
    fn an_older_word_of_the_controller_is_ignored() {
        let mut partition = leading(Durability::Fsync);
        partition.on_metadata(BrokerId(2), LeaderEpoch(9), PartitionEpoch(-1), &[], 1);
        assert_eq!(partition.leader_epoch(), LeaderEpoch(3));
    }
}
