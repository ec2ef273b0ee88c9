//! The last batches of a log, remembered so that a reader at the tail needs no index and no disk.

use std::collections::VecDeque;

/// How many batches are remembered.
const BATCHES_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(crate) struct TailBatch {
    pub(crate) base: i64,
    pub(crate) last: i64,
    pub(crate) position: u64,
    pub(crate) size: u64,
}

impl TailBatch {
    pub(crate) fn end(&self) -> u64 {
        self.position + self.size
    }
}

/// The last batches of the active segment, without a gap, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    batches: VecDeque<TailBatch>,
}

impl Tail {
    pub(crate) fn push(&mut self, batch: TailBatch) {
        if self.batches.len() == BATCHES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
    }

    pub(crate) fn clear(&mut self) {
        self.batches = VecDeque::new();
    }

    /// The first batch that ends at `offset` or after it, and those behind it. `None` when it may
    /// lie before what is remembered.
    pub(crate) fn from(&self, offset: i64) -> Option<impl Iterator<Item = &TailBatch>> {
        if self.batches.front()?.base > offset {
            return None;
        }
        let start = self.batches.partition_point(|batch| batch.last < offset);
        Some(self.batches.range(start..))
    }
}
