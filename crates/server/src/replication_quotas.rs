//! What this broker may send to, and ask for as, replicas that are not in sync (KIP-73), and copy between its own
//! directories (KIP-113): the buckets, and whether anybody has to look at them.
//!
//! Without a limit, which is how it is nearly always, a fetch costs one load of an atomic more.

use std::sync::atomic::{AtomicBool, Ordering};

use kalda_metadata::Image;
use kalda_metadata::config::broker_key;
use kalda_replication::{QuotaWindow, ReplicationQuota};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::config::BrokerConfig;

/// The quotas of a broker.
#[derive(Debug)]
pub(crate) struct ReplicationQuotas {
    /// On what it sends (`leader.replication.throttled.rate`).
    pub(crate) leader: SharedQuota,
    /// On what it copies (`follower.replication.throttled.rate`).
    pub(crate) follower: SharedQuota,
    /// On moves between its directories (`replica.alter.log.dirs.io.max.bytes.per.second`).
    pub(crate) directory_moves: SharedQuota,
}

/// One of them, shared by all that copy.
#[derive(Debug)]
pub(crate) struct SharedQuota {
    is_limited: AtomicBool,
    quota: Mutex<ReplicationQuota>,
}

impl ReplicationQuotas {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let window = |prefix: &str| QuotaWindow {
            size_ms: config.number(&format!("{prefix}replication.quota.window.size.seconds"))
                * 1000,
            count: config.number(&format!("{prefix}replication.quota.window.num")),
        };
        Self {
            leader: SharedQuota::new(window("")),
            follower: SharedQuota::new(window("")),
            directory_moves: SharedQuota::new(window("alter.log.dirs.")),
        }
    }

    /// The broker's settings may have changed.
    pub(crate) fn on_settings(&self, broker: &Broker, image: &Image) {
        let now_ms = broker.clock.monotonic_ms();
        let rate = |name: &str| {
            let key = broker_key(name)?;
            let value = broker.config_sources(image).broker(key).value?;
            value.trim().parse().ok().filter(|rate| *rate < i64::MAX)
        };
        self.leader.set_rate(rate("leader.replication.throttled.rate"), now_ms);
        self.follower.set_rate(rate("follower.replication.throttled.rate"), now_ms);
        let moves = rate("replica.alter.log.dirs.io.max.bytes.per.second");
        self.directory_moves.set_rate(moves, now_ms);
    }
}

impl SharedQuota {
    fn new(window: QuotaWindow) -> Self {
        let quota = Mutex::new(ReplicationQuota::new(window));
        Self { is_limited: AtomicBool::new(false), quota }
    }

    fn set_rate(&self, rate: Option<i64>, now_ms: i64) {
        self.quota.lock().set_rate(rate, now_ms);
        self.is_limited.store(rate.is_some(), Ordering::Release);
    }

    /// Whether there is a limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Acquire)
    }

    /// The bytes that may pass now; `None` without a limit.
    pub(crate) fn available(&self, now_ms: i64) -> Option<usize> {
        if self.is_limited() { self.quota.lock().available(now_ms) } else { None }
    }

    /// See [`ReplicationQuota::ready_in_ms`].
    pub(crate) fn ready_in_ms(&self, now_ms: i64) -> i64 {
        self.quota.lock().ready_in_ms(now_ms)
    }

    pub(crate) fn on_passed(&self, bytes: usize, now_ms: i64) {
        if bytes > 0 && self.is_limited() {
            self.quota.lock().on_passed(bytes, now_ms);
        }
    }
}
