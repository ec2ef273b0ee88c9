//! How many bytes a second may be copied to replicas that are not in sync (KIP-73), as a bucket of bytes.
//!
//! One for what a broker sends as a leader and one for what it asks for as a follower. The caller says when it is;
//! nothing here waits.

use std::collections::BTreeSet;

use kalda_model::BrokerId;

const MS_PER_SECOND: i128 = 1000;

/// `replication.quota.window.size.seconds` and `replication.quota.window.num`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaWindow {
    /// What was not used is kept for so long: the largest burst.
    pub size_ms: i64,
    /// What was used too much, as a batch larger than the rest of the bucket does, is forgotten after so many sizes.
    pub count: i64,
}

/// A bucket that fills at the rate that was set, and is emptied by what is copied.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationQuota {
    window: QuotaWindow,
    /// Bytes a second; without one everything may pass.
    rate: Option<i64>,
    /// Thousandths of bytes that may pass; below zero after a batch that was larger than the rest.
    credit: i128,
    filled_at_ms: i64,
}

impl ReplicationQuota {
    /// One that lets everything pass.
    #[must_use]
    pub fn new(window: QuotaWindow) -> Self {
        Self { window, rate: None, credit: 0, filled_at_ms: 0 }
    }

    /// Sets the bytes a second. Who was without a limit begins with a full bucket.
    pub fn set_rate(&mut self, rate: Option<i64>, now_ms: i64) {
        self.fill(now_ms);
        let was_limited = self.rate.is_some();
        self.rate = rate;
        self.credit = if was_limited { self.credit.min(self.full()) } else { self.full() };
    }

    /// The bytes that may pass now; `None` if there is no limit.
    pub fn available(&mut self, now_ms: i64) -> Option<usize> {
        self.rate?;
        self.fill(now_ms);
        let bytes = self.credit.max(0) / MS_PER_SECOND;
        Some(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// So many bytes have passed.
    pub fn on_passed(&mut self, bytes: usize, now_ms: i64) {
        let Some(rate) = self.rate else { return };
        self.fill(now_ms);
        let debt_max = i128::from(rate) * i128::from(self.window.size_ms * self.window.count);
        let bytes = i128::try_from(bytes).unwrap_or(i128::MAX / MS_PER_SECOND);
        // A bucket that nothing fills would never be paid back to.
        let floor = if rate > 0 { -debt_max } else { 0 };
        self.credit = (self.credit - bytes * MS_PER_SECOND).max(floor);
    }

    /// In how many milliseconds something may pass again: when a tenth of a window is there, so that little
    /// pieces do not cost a request each. At the latest after a window, as the rate may change.
    pub fn ready_in_ms(&mut self, now_ms: i64) -> i64 {
        let Some(rate) = self.rate else { return 0 };
        self.fill(now_ms);
        let missing = (self.full() / 10).max(MS_PER_SECOND) - self.credit;
        if missing <= 0 {
            return 0;
        }
        let ms = match rate {
            0 => self.window.size_ms,
            rate => i64::try_from(missing / i128::from(rate) + 1).unwrap_or(i64::MAX),
        };
        ms.min(self.window.size_ms)
    }

    /// Credit is bytes a second times milliseconds.
    fn full(&self) -> i128 {
        i128::from(self.rate.unwrap_or(0)) * i128::from(self.window.size_ms)
    }

    fn fill(&mut self, now_ms: i64) {
        let elapsed_ms = now_ms.saturating_sub(self.filled_at_ms).max(0);
        self.filled_at_ms = self.filled_at_ms.max(now_ms);
        let filled = i128::from(self.rate.unwrap_or(0)) * i128::from(elapsed_ms);
        self.credit = (self.credit + filled).min(self.full());
    }
}

/// Which partitions of a topic a broker limits (`leader.replication.throttled.replicas`,
/// `follower.replication.throttled.replicas`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ThrottledReplicas {
    /// None of them.
    #[default]
    None,
    /// All of them.
    All,
    /// These.
    Partitions(BTreeSet<i32>),
}

impl ThrottledReplicas {
    /// What `text` says for the replicas on the broker `local`: `*`, or `partition:broker` with commas between.
    #[must_use]
    pub fn parse(text: &str, local: BrokerId) -> Self {
        if text.trim() == "*" {
            return Self::All;
        }
        let here = text.split(',').filter_map(|entry| {
            let (partition, broker) = entry.trim().split_once(':')?;
            (broker.parse() == Ok(local.0)).then(|| partition.parse().ok())?
        });
        let here: BTreeSet<i32> = here.collect();
        if here.is_empty() { Self::None } else { Self::Partitions(here) }
    }

    /// Whether a partition is one of them.
    #[must_use]
    pub fn contains(&self, partition: i32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Partitions(partitions) => partitions.contains(&partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: QuotaWindow = QuotaWindow { size_ms: 1000, count: 11 };

    fn limited(rate: i64) -> ReplicationQuota {
        let mut quota = ReplicationQuota::new(WINDOW);
        quota.set_rate(Some(rate), 0);
        quota
    }

    /// Takes all that may pass, every `step_ms`, for `for_ms`.
    fn drain(quota: &mut ReplicationQuota, step_ms: usize, for_ms: i64) -> usize {
        let mut passed = 0;
        for now_ms in (0..=for_ms).step_by(step_ms) {
            let bytes = quota.available(now_ms).unwrap();
            quota.on_passed(bytes, now_ms);
            passed += bytes;
        }
        passed
    }

    #[test]
    fn what_passes_is_one_burst_and_the_rate() {
        for step_ms in [1, 7, 100, 1000] {
            let passed = drain(&mut limited(3333), step_ms, 10_000);
            assert!((36_600..=36_663).contains(&passed), "{step_ms} ms: {passed}");
        }
    }

    #[test]
    fn idle_time_is_kept_for_one_window() {
        let mut quota = limited(100);
        quota.on_passed(100, 0);
        assert_eq!(quota.available(0), Some(0));
        assert_eq!(quota.available(500), Some(50));
        assert_eq!(quota.available(1_000_000), Some(100));
        assert_eq!(quota.available(999_000), Some(100), "a clock that goes back fills nothing");
    }

    #[test]
    fn a_large_batch_is_paid_back_but_not_for_ever() {
        let mut quota = limited(100);
        quota.on_passed(600, 0);
        assert_eq!(quota.available(5000), Some(0));
        assert_eq!(quota.available(5100), Some(10));
        let mut quota = limited(100);
        quota.on_passed(1_000_000, 0);
        assert_eq!(quota.available(11_000), Some(0));
        assert_eq!(quota.available(11_100), Some(10));
    }

    #[test]
    fn it_says_when_to_come_again() {
        let mut quota = limited(100);
        assert_eq!(quota.ready_in_ms(0), 0);
        quota.on_passed(100, 0);
        let ready_in_ms = quota.ready_in_ms(0);
        assert_eq!(ready_in_ms, 101);
        assert_eq!(quota.ready_in_ms(ready_in_ms), 0);
        assert_eq!(limited(0).ready_in_ms(0), 1000);
    }

    #[test]
    fn without_a_rate_all_passes_and_with_none_nothing() {
        let mut quota = ReplicationQuota::new(WINDOW);
        quota.on_passed(usize::MAX, 0);
        assert_eq!((quota.available(0), quota.ready_in_ms(0)), (None, 0));
        quota.set_rate(Some(0), 0);
        assert_eq!(quota.available(1_000_000), Some(0));
        quota.set_rate(Some(i64::MAX), 1_000_000);
        assert!(quota.available(1_000_001).unwrap() > 1 << 50);
        quota.set_rate(None, 0);
        assert_eq!(quota.available(1), None);
    }

    #[test]
    fn replicas_are_those_of_this_broker() {
        let of = |text| ThrottledReplicas::parse(text, BrokerId(2));
        assert_eq!(of(""), ThrottledReplicas::None);
        assert_eq!(of("0:1,1:3"), ThrottledReplicas::None);
        assert_eq!(of("*"), ThrottledReplicas::All);
        assert_eq!(of("0:1, 3:2,1:2"), ThrottledReplicas::Partitions(BTreeSet::from([1, 3])));
        assert!(of("*").contains(7) && of("7:2").contains(7) && !of("7:2").contains(8));
    }
}
