//! Another replica as its leader knows it: from what it fetches, never from what it was sent
//! (`kafka.cluster.Replica`).

use kalda_model::{BrokerEpoch, BrokerId, Offset};

/// When a replica had all of the leader's log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CaughtUp {
    /// It has.
    Now,
    /// It had until an append whose time is not known yet; the next event that has a time tells.
    UntilAppend,
    /// It had then, on the leader's monotonic clock.
    At(i64),
    /// Never, as far as this leader knows.
    Never,
}

/// What a leader knows of another replica.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Remote {
    pub(crate) id: BrokerId,
    /// What it has, by its last fetch; `None` until it has fetched in this reign.
    pub(crate) end: Option<Offset>,
    /// Where its log starts.
    pub(crate) log_start: Option<Offset>,
    /// Under which registration it fetched; -1 if it did not say.
    pub(crate) broker_epoch: BrokerEpoch,
    /// Whether it could have joined the ISR when it fetched.
    pub(crate) is_eligible: bool,
    pub(crate) caught_up: CaughtUp,
    /// When it fetched last, and where the leader's log ended then.
    last_fetch: Option<(i64, Offset)>,
}

impl Remote {
    pub(crate) fn new(id: BrokerId) -> Self {
        Self {
            id,
            end: None,
            log_start: None,
            broker_epoch: BrokerEpoch(-1),
            is_eligible: false,
            caught_up: CaughtUp::Never,
            last_fetch: None,
        }
    }

    /// Takes note of a fetch from `offset` on, while the leader's log ends at `leader_end`.
    pub(crate) fn on_fetch(&mut self, offset: Offset, leader_end: Offset, now_ms: i64) {
        self.stamp(now_ms);
        if offset >= leader_end {
            self.caught_up = CaughtUp::Now;
        } else {
            if self.caught_up == CaughtUp::Now {
                // It has less than before: it was cut.
                self.caught_up = CaughtUp::At(now_ms);
            }
            // It has what there was when it fetched before: it keeps up with a log that grows.
            if let Some((at_ms, end)) = self.last_fetch
                && offset >= end
            {
                self.was_caught_up_at(at_ms);
            }
        }
        self.last_fetch = Some((now_ms, leader_end));
        self.end = Some(offset);
    }

    /// The leader's log grew.
    pub(crate) fn on_append(&mut self, leader_end: Offset) {
        if self.caught_up == CaughtUp::Now && self.end.is_none_or(|end| end < leader_end) {
            self.caught_up = CaughtUp::UntilAppend;
        }
    }

    /// It is `now_ms`.
    pub(crate) fn stamp(&mut self, now_ms: i64) {
        if self.caught_up == CaughtUp::UntilAppend {
            self.caught_up = CaughtUp::At(now_ms);
        }
    }

    /// It counts as caught up at `now_ms`, whatever it fetches: it was in sync when a reign began.
    pub(crate) fn presume_caught_up(&mut self, now_ms: i64) {
        self.caught_up = CaughtUp::At(now_ms);
    }

    /// Whether it has not been behind for longer than `lag_ms_max`.
    pub(crate) fn is_in_sync(&self, now_ms: i64, lag_ms_max: i64) -> bool {
        match self.caught_up {
            CaughtUp::Now | CaughtUp::UntilAppend => true,
            CaughtUp::At(at_ms) => now_ms.saturating_sub(at_ms) <= lag_ms_max,
            CaughtUp::Never => false,
        }
    }

    fn was_caught_up_at(&mut self, at_ms: i64) {
        self.caught_up = match self.caught_up {
            CaughtUp::At(known_ms) => CaughtUp::At(known_ms.max(at_ms)),
            _ => CaughtUp::At(at_ms),
        };
    }
}
