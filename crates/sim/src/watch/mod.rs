//! What must hold between the nodes at every moment, as one sees it who looks into all of them and at
//! all of their disks at once.
//!
//! It only looks. What clients are told is the business of [`crate::oracle`].

mod committed;
mod metadata;
mod partitions;

use crate::machine::Machine;
use metadata::MetadataWatch;
use partitions::PartitionWatch;

/// Time between two looks at the partitions; the metadata is looked at in each tick, and whom it trusts
/// whenever it has grown.
const LOOK_MS: u64 = 20;
/// Everything is compared from its begin that often.
const LOOK_AT_ALL_MS: u64 = 2_000;

/// The one who looks.
#[derive(Debug)]
pub(crate) struct Watch {
    metadata: MetadataWatch,
    partitions: PartitionWatch,
    /// Whether what was on a disk once is there as it was.
    trusts_disks: bool,
}

impl Watch {
    pub(crate) fn new(trusts_disks: bool) -> Self {
        let (metadata, partitions) = Default::default();
        Self { metadata, partitions, trusts_disks }
    }

    /// A tick is over.
    ///
    /// # Panics
    /// Something does not hold.
    pub(crate) fn look(&mut self, machines: &[Machine], now_ms: u64) {
        let has_grown = self.metadata.look(machines);
        if now_ms.is_multiple_of(LOOK_AT_ALL_MS) {
            self.metadata.look_at_all(machines);
            self.partitions.forget_compared();
        }
        let is_due = now_ms.is_multiple_of(LOOK_MS);
        if is_due && self.trusts_disks {
            self.partitions.look(machines);
        }
        // Who comes into an ISR too early may have caught up a moment later.
        if (is_due || has_grown) && self.trusts_disks {
            self.partitions.look_at_trusted(machines, self.metadata.image());
        }
    }

    /// Whether nothing is under way any more: no transaction, no copy.
    pub(crate) fn look_at_rest(&self, machines: &[Machine]) -> Result<(), String> {
        self.metadata.look_at_rest(machines)?;
        self.partitions.look_at_rest(machines)
    }

    /// Nothing happens any more.
    ///
    /// # Panics
    /// The nodes do not have the same.
    pub(crate) fn look_at_end(&mut self, machines: &[Machine]) {
        self.metadata.look_at_end(machines);
        // A replica that nobody reads may have a flipped bit that nobody has seen.
        if self.trusts_disks {
            self.partitions.look(machines);
            self.partitions.look_at_end(machines, self.metadata.image());
        }
    }
}
