//! What happened in a run, byte for byte: two runs of one seed are the same if their traces are.
//!
//! Everything that changes a disk, every life of a node, every fault and every answer that a client got
//! is written to it; only a digest and the newest lines are kept.

use std::sync::Arc;

use parking_lot::Mutex;

/// A trace; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    digest: u64,
    events: u64,
    is_verbose: bool,
    now_ms: u64,
}

impl Trace {
    pub(crate) fn new(is_verbose: bool) -> Self {
        let trace = Self::default();
        trace.state.lock().is_verbose = is_verbose;
        trace
    }

    pub(crate) fn at(&self, now_ms: u64) {
        self.state.lock().now_ms = now_ms;
    }

    /// Something that a reader of the run wants to see.
    pub(crate) fn tell(&self, text: &str) {
        let mut state = self.state.lock();
        if state.is_verbose {
            println!("{:>8} ms  {text}", state.now_ms);
        }
        state.mix(text.as_bytes());
    }

    /// Something that only the comparison of two runs needs.
    pub(crate) fn note(&self, what: &str, bytes: &[u8]) {
        let mut state = self.state.lock();
        state.mix(what.as_bytes());
        state.mix(bytes);
    }

    /// A digest of all that happened, and how much that was.
    pub(crate) fn digest(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.digest, state.events)
    }
}

impl State {
    /// FNV-1a over eight bytes at a time.
    fn mix(&mut self, bytes: &[u8]) {
        const PRIME: u64 = 0x0100_0000_01b3;
        self.events += 1;
        let mut digest = (self.digest ^ self.now_ms).wrapping_mul(PRIME);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            digest = (digest ^ u64::from_le_bytes(word)).wrapping_mul(PRIME);
            digest ^= digest >> 29;
        }
        self.digest = (digest ^ bytes.len() as u64).wrapping_mul(PRIME);
    }
}
