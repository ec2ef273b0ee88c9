//! Which leader epoch began at which offset (KIP-101): the cache behind `leader-epoch-checkpoint`.

use kalda_model::{LeaderEpoch, Offset};

/// Epochs and their start offsets, both growing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct EpochCache {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl EpochCache {
    /// A cache of what a checkpoint held; entries that do not grow are left out.
    #[must_use]
    pub fn new(entries: Vec<(LeaderEpoch, Offset)>) -> Self {
        let mut cache = Self::default();
        for (epoch, start) in entries {
            cache.assign(epoch, start);
        }
        cache
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    /// The newest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// Notes that `epoch` begins at `start`. Entries that contradict it (a start at or after, an
    /// epoch at or above) give way. Answers whether anything changed.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch.0 < 0 || start.0 < 0 || self.latest().is_some_and(|latest| latest >= epoch) {
            return false;
        }
        self.entries.retain(|(_, other)| *other < start);
        self.entries.push((epoch, start));
        true
    }

    /// The epoch under which the record at `offset` was written.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|(_, start)| *start <= offset);
        self.entries[..after].last().map(|(epoch, _)| *epoch)
    }

    /// The last epoch not above `epoch` and its end offset, `log_end` being the end of the newest
    /// (`LeaderEpochFileCache.endOffsetFor`). `None` when it cannot be told: the epoch is unknown, or
    /// newer than every entry.
    #[must_use]
    pub fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        log_end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if epoch.0 < 0 {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some((epoch, log_end));
        }
        let after = self.entries.partition_point(|(other, _)| *other <= epoch);
        let (_, end) = self.entries.get(after)?;
        let floor = self.entries[..after].last().map_or(epoch, |(floor, _)| *floor);
        Some((floor, *end))
    }

    /// A batch of `epoch` that ends with `last` is there: no later epoch began before its end.
    pub fn contradict(&mut self, epoch: LeaderEpoch, last: Offset) {
        self.entries.retain(|(other, start)| *other <= epoch || *start > last);
    }

    /// Forgets the epochs that begin at `end` or after: the log was cut there.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(_, start)| *start < end);
        self.entries.len() != before
    }

    /// Forgets the epochs that ended at or before `start`; the one that holds `start` begins there
    /// now.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let after = self.entries.partition_point(|(_, other)| *other <= start);
        let Some(keep) = after.checked_sub(1) else { return false };
        let was = self.entries[keep];
        self.entries.drain(..keep);
        self.entries[0].1 = start;
        keep > 0 || was.1 != start
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        EpochCache::new(entries.iter().map(|(e, o)| (LeaderEpoch(*e), Offset(*o))).collect())
    }

    fn end(cache: &EpochCache, epoch: i32) -> Option<(i32, i64)> {
        cache.end_offset_for(LeaderEpoch(epoch), Offset(100)).map(|(e, o)| (e.0, o.0))
    }

    #[test]
    fn end_offsets_follow_kafkas_rule() {
        let cache = cache(&[(2, 10), (4, 50), (7, 80)]);
        assert_eq!(end(&cache, 7), Some((7, 100)));
        assert_eq!(end(&cache, 5), Some((4, 80)));
        assert_eq!(end(&cache, 2), Some((2, 50)));
        assert_eq!(end(&cache, 1), Some((1, 10)), "nothing before: the start of the next");
        assert_eq!(end(&cache, 8), None);
        assert_eq!(end(&cache, -1), None);
    }

    #[test]
    fn a_new_epoch_displaces_what_it_contradicts() {
        let mut cache = cache(&[(1, 0), (2, 10)]);
        assert!(!cache.assign(LeaderEpoch(2), Offset(20)), "known already");
        assert!(cache.assign(LeaderEpoch(3), Offset(10)), "epoch 2 wrote nothing");
        assert_eq!(cache.entries(), [(LeaderEpoch(1), Offset(0)), (LeaderEpoch(3), Offset(10))]);
    }

    #[test]
    fn truncation_from_both_ends() {
        let mut cut = cache(&[(1, 0), (2, 10), (3, 20)]);
        assert!(
            cut.truncate_from_end(Offset(20)),
            "an epoch that begins at the end goes (KAFKA-10706)"
        );
        assert_eq!(cut.latest(), Some(LeaderEpoch(2)));
        let mut cut = cache(&[(1, 0), (2, 10), (3, 20)]);
        assert!(cut.truncate_from_start(Offset(15)));
        assert_eq!(cut.entries(), [(LeaderEpoch(2), Offset(15)), (LeaderEpoch(3), Offset(20))]);
        assert_eq!(cut.epoch_at(Offset(19)), Some(LeaderEpoch(2)));
        assert_eq!(cut.epoch_at(Offset(14)), None);
    }
}
