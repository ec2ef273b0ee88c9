//! What must always hold of a partition, whatever happens to its replicas.

use std::collections::BTreeMap;

use kalda_model::{LeaderEpoch, Offset};

use crate::controller::at;
use crate::disk::Record;

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
    reigns,
    appended,
    acknowledged,
    refused_before,
    refused_after,
    truncations,
    power_cuts,
    cuts_undone,
    kills,
    wipes,
    fenced,
    shutdowns,
    moved,
    reassigned,
    expanded,
    shrunk,
    not_done,
    superseded,
    unknown,
    lost,
    doubled,
    stale
);

#[derive(Default, Debug)]
pub(crate) struct Oracle {
    /// Everything that a leader ever called committed.
    pub(crate) committed: Vec<Record>,
    acknowledged: BTreeMap<Offset, u64>,
    pub(crate) counts: Counts,
}

impl Oracle {
    /// Who is elected has all that is committed.
    pub(crate) fn on_leader(&mut self, log: &[Record], epoch: LeaderEpoch) {
        self.counts.reigns += 1;
        let has = log.len() >= self.committed.len();
        assert!(has, "the leader of epoch {epoch} has {} of {}", log.len(), self.committed.len());
        assert_eq!(log[..self.committed.len()], self.committed, "epoch {epoch} lost or changed");
    }

    /// A leader shows consumers everything below `high_watermark`.
    pub(crate) fn on_leader_high_watermark(&mut self, log: &[Record], high_watermark: Offset) {
        let end = at(high_watermark);
        let known = self.committed.len().min(end);
        assert_eq!(log[..known], self.committed[..known], "committed records differ");
        self.committed.extend_from_slice(&log[known..end]);
    }

    /// A follower shows consumers everything below `high_watermark`.
    pub(crate) fn on_follower_high_watermark(&self, log: &[Record], high_watermark: Offset) {
        let end = at(high_watermark);
        assert!(self.committed.len() >= end, "a follower shows what no leader did");
        assert_eq!(log[..end], self.committed[..end], "a follower shows something else");
    }

    pub(crate) fn on_acknowledged(&mut self, offset: Offset, value: u64) {
        self.counts.acknowledged += 1;
        assert!(self.committed.len() > at(offset), "acknowledged and not committed");
        self.acknowledged.insert(offset, value);
    }

    /// At the end each replica has all that was committed, where it was.
    pub(crate) fn assert_whole(&self, log: &[Record]) {
        assert!(log.len() >= self.committed.len(), "a log ends early");
        assert_eq!(log[..self.committed.len()], self.committed, "a log differs");
        for (offset, value) in &self.acknowledged {
            assert_eq!(log[at(*offset)].value, *value, "an acknowledged record is gone");
        }
    }
}
