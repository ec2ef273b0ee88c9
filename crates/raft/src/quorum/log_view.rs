//! What the core knows of its log: where epochs begin, what is on disk, which voters it names.
//!
//! The records themselves stay with the shell. This view changes with the effect that changes the
//! log, and the shell carries out effects in order, so both always tell of the same log.

use kalda_model::{LeaderEpoch, Offset};

use super::message::{Batch, Body, Control};
use super::voters::VoterSet;
use crate::snapshot::SnapshotId;

/// The end of a log, or of an epoch in it, and the epoch of the record before it. It names one
/// prefix of the history and no other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OffsetAndEpoch {
    /// The epoch of the last record before `offset`; 0 in an empty log. Compared first.
    pub epoch: LeaderEpoch,
    /// Exclusive.
    pub offset: Offset,
}

/// How a fetch fits to the leader's log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Fit {
    /// The follower's log is a prefix of it.
    Prefix,
    /// It is not: the follower must cut back to here at most.
    Diverging(OffsetAndEpoch),
    /// What the follower needs is only in this snapshot.
    Snapshot(SnapshotId),
}

/// The outline of a log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogView {
    /// The log's start, and the epoch of the record before it.
    start: OffsetAndEpoch,
    /// Where each epoch in the log begins, in order.
    epochs: Vec<(LeaderEpoch, Offset)>,
    /// The offset that the next record gets.
    end: Offset,
    /// Everything below it survives a power cut.
    flushed: Offset,
    /// The newest snapshot.
    snapshot: Option<SnapshotId>,
    /// The voters and the `kraft.version` as records name them; the first entry is that of the
    /// configuration or of the snapshot, at the log's start.
    voters: Vec<VotersAt>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct VotersAt {
    offset: Offset,
    voters: VoterSet,
    kraft_version: i16,
}

impl LogView {
    /// An empty log under `voters`: from `controller.quorum.voters` with `kraft_version` 0, from
    /// the bootstrap snapshot with 1.
    #[must_use]
    pub fn new(voters: VoterSet, kraft_version: i16) -> Self {
        Self {
            start: OffsetAndEpoch { epoch: LeaderEpoch(0), offset: Offset::ZERO },
            epochs: Vec::new(),
            end: Offset::ZERO,
            flushed: Offset::ZERO,
            snapshot: None,
            voters: vec![VotersAt { offset: Offset::ZERO, voters, kraft_version }],
        }
    }

    /// A log that begins behind a snapshot, under the voters that the snapshot names.
    #[must_use]
    pub fn from_snapshot(id: SnapshotId, voters: VoterSet, kraft_version: i16) -> Self {
        Self {
            start: OffsetAndEpoch { epoch: id.epoch, offset: id.end_offset },
            end: id.end_offset,
            flushed: id.end_offset,
            snapshot: Some(id),
            voters: vec![VotersAt { offset: id.end_offset, voters, kraft_version }],
            ..Self::new(VoterSet::default(), 0)
        }
    }

    /// The first offset that it holds.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.start.offset
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.end
    }

    /// Its end, with the epoch of the last record.
    #[must_use]
    pub fn end(&self) -> OffsetAndEpoch {
        OffsetAndEpoch { epoch: self.last_epoch(), offset: self.end }
    }

    /// The end of what survives a power cut, with the epoch of the record before it.
    pub(super) fn flushed_end(&self) -> OffsetAndEpoch {
        self.end_before(self.flushed)
    }

    /// `offset`, with the epoch of the record before it.
    pub(super) fn end_before(&self, offset: Offset) -> OffsetAndEpoch {
        let index = self.epochs.partition_point(|(_, start)| *start < offset);
        let epoch = index.checked_sub(1).map_or(self.start.epoch, |last| self.epochs[last].0);
        OffsetAndEpoch { epoch, offset }
    }

    /// Everything below it survives a power cut.
    #[must_use]
    pub fn flushed_offset(&self) -> Offset {
        self.flushed
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<SnapshotId> {
        self.snapshot
    }

    /// The voters that hold: those of the last record, committed or not.
    #[must_use]
    pub fn voters(&self) -> &VoterSet {
        &self.newest_voters().voters
    }

    /// The voters as of `offset`, for a snapshot that ends there.
    #[must_use]
    pub fn voters_at(&self, offset: Offset) -> &VoterSet {
        &self.voters[self.voters_index(offset)].voters
    }

    /// The `kraft.version` as of `offset`, for a snapshot that ends there.
    #[must_use]
    pub fn kraft_version_at(&self, offset: Offset) -> i16 {
        self.voters[self.voters_index(offset)].kraft_version
    }

    /// The voters as of `offset`, and every set that the log names after it.
    pub(super) fn voters_since(&self, offset: Offset) -> impl Iterator<Item = &VoterSet> {
        self.voters[self.voters_index(offset)..].iter().map(|entry| &entry.voters)
    }

    /// Behind the record that names the voters.
    #[must_use]
    pub fn voters_end(&self) -> Offset {
        let index = self.voters.len() - 1;
        if index == 0 { self.start.offset } else { self.voters[index].offset.plus(1) }
    }

    /// 0: the voters are static. 1: they are records.
    #[must_use]
    pub fn kraft_version(&self) -> i16 {
        self.newest_voters().kraft_version
    }

    /// Whether the voters are records by their `kraft.version`, and no record has named them yet.
    pub(super) fn has_unwritten_voters(&self) -> bool {
        self.kraft_version() > 0 && self.voters.len() == 1 && self.start.offset == Offset::ZERO
    }

    /// Takes what was found in the log at the start of the process, in order.
    pub fn restore(&mut self, batch: &Batch) {
        self.append(batch);
        self.flushed = self.end;
    }

    fn newest_voters(&self) -> &VotersAt {
        self.voters.last().expect("the first entry is never removed")
    }

    /// The entry that holds for the records before `offset`.
    fn voters_index(&self, offset: Offset) -> usize {
        self.voters.partition_point(|entry| entry.offset < offset).max(1) - 1
    }

    fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.last().map_or(self.start.epoch, |(epoch, _)| *epoch)
    }

    pub(super) fn append(&mut self, batch: &Batch) {
        assert_eq!(batch.base_offset, self.end, "a log has no gaps");
        assert!(batch.epoch >= self.last_epoch(), "epochs in a log never go back");
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch < batch.epoch) {
            self.epochs.push((batch.epoch, batch.base_offset));
        }
        if let Body::Control(records) = &batch.body {
            for (offset, record) in (batch.base_offset.0..).zip(records) {
                let mut entry = VotersAt { offset: Offset(offset), ..self.newest_voters().clone() };
                match record {
                    Control::Voters(voters) => entry.voters = voters.clone(),
                    Control::KRaftVersion(version) => entry.kraft_version = *version,
                    Control::LeaderChange { .. } => continue,
                }
                self.voters.push(entry);
            }
        }
        self.end = batch.end_offset();
    }

    /// A voter set applies when it is appended, and is reverted when it is cut.
    pub(super) fn truncate(&mut self, to: Offset) {
        assert!(to >= self.start.offset, "what a snapshot covers is never cut");
        self.epochs.retain(|(_, start)| *start < to);
        let first = self.voters.remove(0);
        self.voters.retain(|entry| entry.offset < to);
        self.voters.insert(0, first);
        self.end = self.end.min(to);
        self.flushed = self.flushed.min(to);
    }

    /// A flush is over that began when the log ended at `up_to`. What was cut since then is not
    /// flushed, even if the log is as long again.
    pub(super) fn on_flushed(&mut self, up_to: OffsetAndEpoch) {
        if self.holds(up_to) {
            self.flushed = self.flushed.max(up_to.offset);
        }
    }

    /// Drops what the snapshot stands for.
    pub(super) fn on_snapshot(&mut self, id: SnapshotId) {
        self.voters.drain(..self.voters_index(id.end_offset));
        self.voters[0].offset = id.end_offset;
        self.start = OffsetAndEpoch { epoch: id.epoch, offset: id.end_offset };
        self.snapshot = Some(id);
        let next = self.epochs.partition_point(|(_, start)| *start <= id.end_offset);
        self.epochs.drain(..next.saturating_sub(1));
        if self.end == id.end_offset {
            self.epochs.clear();
        } else if let Some(first) = self.epochs.first_mut() {
            first.1 = first.1.max(id.end_offset);
        }
    }

    /// Whether the history up to `end` is that of this log.
    pub(super) fn holds(&self, end: OffsetAndEpoch) -> bool {
        if end.offset == self.start.offset {
            return end.offset == Offset::ZERO || end.epoch == self.start.epoch;
        }
        let is_inside = end.offset > self.start.offset && end.offset <= self.end;
        let index = self.epochs.partition_point(|(_, start)| *start < end.offset);
        is_inside && index > 0 && self.epochs[index - 1].0 == end.epoch
    }

    /// The largest epoch up to `epoch`, and where it ends.
    pub(super) fn end_of_epoch(&self, epoch: LeaderEpoch) -> OffsetAndEpoch {
        let index = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let offset = self.epochs.get(index).map_or(self.end, |(_, start)| *start);
        match index.checked_sub(1) {
            Some(last) => OffsetAndEpoch { epoch: self.epochs[last].0, offset },
            None => self.start,
        }
    }

    /// How a follower's log, which ends at `theirs`, fits to this one.
    pub(super) fn fit(&self, theirs: OffsetAndEpoch) -> Fit {
        if let Some(snapshot) = self.snapshot {
            let is_before = theirs.offset < self.start.offset
                || (theirs.offset == self.start.offset && theirs.epoch != self.start.epoch)
                || theirs.epoch < self.start.epoch;
            if theirs.offset == Offset::ZERO || is_before {
                return Fit::Snapshot(snapshot);
            }
        }
        if theirs.offset == Offset::ZERO {
            return Fit::Prefix;
        }
        let ours = self.end_of_epoch(theirs.epoch);
        let is_prefix = ours.epoch == theirs.epoch && theirs.offset <= ours.offset;
        if is_prefix { Fit::Prefix } else { Fit::Diverging(ours) }
    }

    /// Where to cut so that nothing is left that the leader, whose `diverging` this is, lacks.
    pub(super) fn cut_for(&self, diverging: OffsetAndEpoch) -> Offset {
        let ours = self.end_of_epoch(diverging.epoch);
        if ours.epoch == diverging.epoch { ours.offset.min(diverging.offset) } else { ours.offset }
    }
}
