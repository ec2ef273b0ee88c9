//! Chance from a seed: the same seed, the same numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kalda_env::Rng;

/// The splitmix64 generator. Each who draws has one of its own, or they would disturb each other.
#[derive(Debug)]
pub(crate) struct Chance(AtomicU64);

impl Chance {
    /// The chance of `whose`, under a seed.
    pub(crate) fn of(seed: u64, whose: u64) -> Arc<Self> {
        let chance = Self(AtomicU64::new(seed ^ whose.wrapping_mul(0xd6e8_feb8_6659_fd93)));
        chance.draw();
        Arc::new(chance)
    }

    fn draw(&self) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high - low + 1)
    }

    pub(crate) fn index(&self, len: usize) -> usize {
        (self.draw() % len as u64) as usize
    }

    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.draw() % 100 < percent
    }
}

impl Rng for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.draw().to_be_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}
