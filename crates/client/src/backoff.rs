//! How long to wait before trying again: doubling, with a cap and jitter (KIP-580).
//!
//! Used by connections, admin calls, the producer's sender and the consumer. Pure but for the
//! randomness handed in.

use std::time::Duration;

use kalda_env::Rng;

/// The waits between attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Backoff {
    /// The wait after the first failure.
    pub(crate) first_ms: u64,
    /// The longest wait, before jitter.
    pub(crate) max_ms: u64,
}

/// Each wait is up to this share longer or shorter, so that clients do not come back together.
const JITTER_PERCENT: u64 = 20;

impl Backoff {
    /// The wait after `failures` failures in a row.
    pub(crate) fn after(self, failures: u32, rng: &dyn Rng) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let doubled = self.first_ms.saturating_mul(1 << (failures - 1).min(20));
        let wait_ms = doubled.min(self.max_ms.max(self.first_ms));
        let spread = wait_ms * JITTER_PERCENT / 100;
        Duration::from_millis(wait_ms - spread + rng.below(2 * spread + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Always the smallest or largest bytes.
    #[derive(Debug)]
    struct Fixed(u8);

    impl Rng for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let backoff = Backoff { first_ms: 100, max_ms: 1000 };
        let waits = [0, 1, 2, 3, 5, 40].map(|n| backoff.after(n, &Fixed(0)).as_millis());
        assert_eq!(waits, [0, 80, 160, 320, 800, 800]);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let backoff = Backoff { first_ms: 50, max_ms: 1000 };
        for byte in 0..=255 {
            let wait = backoff.after(9, &Fixed(byte)).as_millis();
            assert!((800..=1200).contains(&wait), "{wait}");
        }
    }
}
