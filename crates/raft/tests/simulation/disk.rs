//! The disk of one node: what a crash leaves of it, and the log view a start makes of it.

use kalda_model::{DirectoryId, Offset};
use kalda_raft::quorum::{Batch, LogView, OffsetAndEpoch, VoterSet};
use kalda_raft::{QuorumState, SnapshotId};

use crate::chance::Chance;

/// What a snapshot holds, as far as the quorum cares, and a digest of the rest.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Snapshot {
    pub(crate) id: SnapshotId,
    pub(crate) voters: VoterSet,
    pub(crate) kraft_version: i16,
    pub(crate) digest: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) directory: DirectoryId,
    pub(crate) quorum_state: Option<QuorumState>,
    pub(crate) batches: Vec<Batch>,
    /// So many of the batches survive a power cut.
    pub(crate) flushed: usize,
    pub(crate) snapshot: Option<Snapshot>,
    /// The voters of the configuration, or of the bootstrap snapshot.
    pub(crate) formatted: (VoterSet, i16),
}

impl Disk {
    pub(crate) fn new(directory: DirectoryId, formatted: (VoterSet, i16)) -> Self {
        Self {
            directory,
            quorum_state: None,
            batches: Vec::new(),
            flushed: 0,
            snapshot: None,
            formatted,
        }
    }

    pub(crate) fn start_offset(&self) -> Offset {
        self.snapshot.as_ref().map_or(Offset::ZERO, |snapshot| snapshot.id.end_offset)
    }

    pub(crate) fn end_offset(&self) -> Offset {
        self.batches.last().map_or(self.start_offset(), Batch::end_offset)
    }

    pub(crate) fn end(&self) -> Option<OffsetAndEpoch> {
        let last = self.batches.last()?;
        Some(OffsetAndEpoch { epoch: last.epoch, offset: last.end_offset() })
    }

    pub(crate) fn truncate(&mut self, to: Offset) {
        assert!(to >= self.start_offset());
        self.batches.retain(|batch| batch.base_offset < to);
        assert_eq!(self.end_offset(), to, "cuts are between batches");
        self.flushed = self.flushed.min(self.batches.len());
    }

    /// A flush that began when the log ended at `end` is over.
    pub(crate) fn on_flushed(&mut self, end: OffsetAndEpoch) {
        let is_end = |batch: &Batch| batch.end_offset() == end.offset && batch.epoch == end.epoch;
        if let Some(index) = self.batches.iter().rposition(is_end) {
            self.flushed = self.flushed.max(index + 1);
        }
    }

    /// Power is gone: of what was not flushed, any prefix may be there.
    pub(crate) fn crash(&mut self, chance: &Chance) {
        let unflushed = self.batches.len() - self.flushed;
        let kept = self.flushed + chance.index(unflushed + 1);
        self.batches.truncate(kept);
        self.flushed = kept;
    }

    pub(crate) fn snapshot_at(&mut self, snapshot: Snapshot) {
        let before = self.batches.len();
        let end = snapshot.id.end_offset;
        self.batches.retain(|batch| batch.base_offset >= end);
        self.flushed = self.flushed.saturating_sub(before - self.batches.len());
        self.snapshot = Some(snapshot);
    }

    pub(crate) fn install(&mut self, snapshot: Snapshot) -> LogView {
        self.batches.clear();
        self.flushed = 0;
        self.snapshot = Some(snapshot);
        self.view()
    }

    pub(crate) fn view(&self) -> LogView {
        let mut view = match &self.snapshot {
            Some(at) => LogView::from_snapshot(at.id, at.voters.clone(), at.kraft_version),
            None => LogView::new(self.formatted.0.clone(), self.formatted.1),
        };
        for batch in &self.batches {
            view.restore(batch);
        }
        view
    }

    /// Whether everything up to `batch` is here and would survive.
    pub(crate) fn has_durably(&self, batch: &Batch) -> bool {
        if batch.end_offset() <= self.start_offset() {
            return true;
        }
        let found = self.batches.binary_search_by_key(&batch.base_offset, |own| own.base_offset);
        found.is_ok_and(|index| index < self.flushed && self.batches[index] == *batch)
    }
}
