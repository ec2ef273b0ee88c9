//! A machine's clocks: the simulated time, and what this machine takes it for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kalda_env::Clock;

/// When the simulation begins, on everybody's calendar.
const BEGIN_MS: i64 = 1_800_000_000_000;

/// The clock of a machine. Its wall clock may be set.
#[derive(Debug, Default)]
pub(crate) struct SimClock {
    /// The last reading: what is read where no time passes.
    now_us: AtomicI64,
    skew_ms: Arc<AtomicI64>,
}

impl SimClock {
    pub(crate) fn new(skew_ms: Arc<AtomicI64>) -> Self {
        Self { now_us: AtomicI64::new(0), skew_ms }
    }
}

impl Clock for SimClock {
    fn monotonic_us(&self) -> i64 {
        crate::panics::on_look();
        // Tasks that are dropped with their process are in no simulated time.
        if tokio::runtime::Handle::try_current().is_ok()
            && let Some(elapsed) = turmoil::sim_elapsed()
        {
            let now_us = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
            self.now_us.fetch_max(now_us, Ordering::Relaxed);
        }
        self.now_us.load(Ordering::Relaxed)
    }

    fn wall_ms(&self) -> i64 {
        BEGIN_MS + self.monotonic_us() / 1000 + self.skew_ms.load(Ordering::Relaxed)
    }
}
