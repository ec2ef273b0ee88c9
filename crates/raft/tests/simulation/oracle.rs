//! What must always hold of a quorum, whatever happens to it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use kalda_model::{BrokerId, DirectoryId, LeaderEpoch, Offset};
use kalda_raft::QuorumState;
use kalda_raft::quorum::{Batch, Body};

use crate::disk::{Disk, Snapshot};

macro_rules! counts {
    ($($name:ident),*) => {
        /// How often things happened.
        #[derive(Default, Debug)]
        pub(crate) struct Counts { $(pub(crate) $name: u64),* }

        impl Counts {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            pub(crate) fn assert_that_all_happened(&self) {
                $(assert!(self.$name > 0, "no {} in any seed", stringify!($name));)*
            }
        }
    };
}

counts!(
    steps,
    leaders,
    commits,
    truncations,
    crashes,
    crashes_in_midst,
    partitions,
    lost,
    doubled,
    snapshots_taken,
    snapshots_installed,
    snapshots_damaged,
    voters_added,
    voters_removed,
    upgrades,
    voters_refused,
    resignations,
    wipes,
    stale_flushes
);

#[derive(Default, Debug)]
pub(crate) struct Oracle {
    /// Who led each epoch, and up to where all was committed when it was elected.
    leaders: BTreeMap<LeaderEpoch, (DirectoryId, Offset)>,
    votes: BTreeMap<(DirectoryId, LeaderEpoch), (BrokerId, DirectoryId)>,
    epochs: BTreeMap<DirectoryId, LeaderEpoch>,
    /// Everything that any node ever called committed.
    committed: Vec<Batch>,
    /// The digest of all up to the end of each of them.
    digests: Vec<u64>,
    snapshots: BTreeMap<Offset, Snapshot>,
    pub(crate) counts: Counts,
}

impl Oracle {
    /// A vote is given once in an epoch, and an epoch does not go back, on one disk.
    pub(crate) fn on_persist(&mut self, directory: DirectoryId, state: QuorumState) {
        let newest = self.epochs.entry(directory).or_insert(state.epoch);
        assert!(*newest <= state.epoch, "the epoch went back from {newest} to {}", state.epoch);
        *newest = state.epoch;
        if let Some(vote) = state.voted {
            let given = self.votes.entry((directory, state.epoch)).or_insert(vote);
            assert_eq!(*given, vote, "two votes in epoch {}", state.epoch);
        }
    }

    /// At most one leads an epoch, and it has all that was committed in the epochs before: whose last
    /// vote comes late is elected when a later leader may have committed more.
    pub(crate) fn on_leader(&mut self, disk: &Disk, epoch: LeaderEpoch) {
        self.counts.leaders += 1;
        let later = self.leaders.range(epoch..).find(|(of, _)| **of > epoch);
        let committed = later.map_or(self.committed_end(), |(_, (_, committed))| *committed);
        let (leader, _) = self.leaders.entry(epoch).or_insert((disk.directory, committed));
        assert_eq!(*leader, disk.directory, "two leaders in epoch {epoch}");
        self.assert_committed_prefix(disk, committed);
    }

    pub(crate) fn committed_end(&self) -> Offset {
        self.committed.last().map_or(Offset::ZERO, Batch::end_offset)
    }

    /// Who leads says that all up to `high_watermark` is on the disks of a majority; who follows
    /// repeats it. What was committed stays what it was.
    pub(crate) fn on_high_watermark(&mut self, disk: &Disk, high_watermark: Offset) {
        let begun = self.committed_end();
        for batch in &disk.batches {
            if batch.base_offset >= begun && batch.end_offset() <= high_watermark {
                assert_eq!(batch.base_offset, self.committed_end(), "a hole in what is committed");
                self.counts.commits += 1;
                let mut hasher = DefaultHasher::new();
                self.digests.last().hash(&mut hasher);
                hash(batch, &mut hasher);
                self.digests.push(hasher.finish());
                self.committed.push(batch.clone());
            }
        }
        assert!(self.committed_end() >= high_watermark, "committed, and not in its own log");
        self.assert_committed_prefix(disk, high_watermark);
    }

    /// The log of this disk is the committed one up to `end`.
    pub(crate) fn assert_committed_prefix(&self, disk: &Disk, end: Offset) {
        assert!(disk.end_offset() >= end, "the log ends at {}, below {end}", disk.end_offset());
        let start = disk.start_offset();
        let first = self.committed.partition_point(|batch| batch.end_offset() <= start);
        // The last ones are enough: each was compared when the watermark passed it.
        let last = self.committed.partition_point(|batch| batch.end_offset() <= end);
        let first = first.max(last.saturating_sub(20));
        for batch in self.committed.get(first..last).unwrap_or_default() {
            let at = disk.batches.binary_search_by_key(&batch.base_offset, |own| own.base_offset);
            let own = at.ok().map(|index| &disk.batches[index]);
            assert_eq!(own, Some(batch), "a committed batch is lost or changed");
        }
    }

    /// All of it, at the end.
    pub(crate) fn assert_whole(&self, disk: &Disk) {
        let start = disk.start_offset();
        let after = self.committed.iter().filter(|batch| batch.base_offset >= start);
        let count = after.clone().count();
        assert!(disk.batches.iter().take(count).eq(after), "a log differs from what is committed");
    }

    pub(crate) fn committed_up_to(&self, end: Offset) -> Option<&Batch> {
        let index = self.committed.partition_point(|batch| batch.end_offset() < end);
        self.committed.get(index).filter(|batch| batch.end_offset() == end)
    }

    pub(crate) fn digest_at(&self, end: Offset) -> u64 {
        let index = self.committed.partition_point(|batch| batch.end_offset() <= end);
        self.digests[index - 1]
    }

    /// Snapshots of one end are one state, whoever took them.
    pub(crate) fn on_snapshot(&mut self, snapshot: &Snapshot) {
        let end = snapshot.id.end_offset;
        assert_eq!(snapshot.digest, self.digest_at(end), "a snapshot of something else");
        let known = self.snapshots.entry(end).or_insert_with(|| snapshot.clone());
        assert_eq!(known, snapshot, "two snapshots of one end");
    }

    pub(crate) fn snapshot(&self, end: Offset) -> &Snapshot {
        &self.snapshots[&end]
    }
}

fn hash(batch: &Batch, hasher: &mut DefaultHasher) {
    (batch.base_offset, batch.epoch, batch.record_count).hash(hasher);
    match &batch.body {
        Body::Data(bytes) => bytes.hash(hasher),
        Body::Control(records) => records.len().hash(hasher),
    }
}
