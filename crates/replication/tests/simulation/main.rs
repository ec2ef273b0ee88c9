//! One partition on many replicas under a seed: messages lost, doubled and late, power cuts that forget what was
//! not flushed and undo what was cut, lost disks, fencing, elections, reassignments.
//!
//! `KALDA_SEEDS` says how many seeds are run, from `KALDA_FIRST_SEED` on; `KALDA_SEED` runs one and
//! prints what happens in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chance;
mod controller;
mod disk;
mod faults;
mod oracle;
mod world;

use world::World;

const SEEDS: u64 = 2000;
const REPLAY: &str = "cargo test -p kalda-replication --test simulation seeds -- --nocapture";

/// Says how to run the seed again if it fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("KALDA_SEED={} {REPLAY}", self.0);
        }
    }
}

fn run(seed: u64, is_verbose: bool) -> World {
    let _replay = Replay(seed);
    let mut world = World::new(seed, is_verbose);
    world.run_with_faults();
    world.settle();
    world
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn seeds() {
    if let Some(seed) = number("KALDA_SEED") {
        run(seed, true);
        return;
    }
    let mut sum = oracle::Counts::default();
    let first = number("KALDA_FIRST_SEED").unwrap_or(0);
    let count = number("KALDA_SEEDS").unwrap_or(SEEDS);
    for seed in first..first + count {
        sum.add(&run(seed, false).oracle.counts);
    }
    println!("{sum:?}");
    // A simulation in which nothing happens finds nothing.
    if count >= SEEDS {
        sum.assert_that_all_happened();
    }
}

#[test]
fn one_seed_twice_is_one_trace() {
    for seed in [1, 7, 42, 1001] {
        let (first, second) = (run(seed, false), run(seed, false));
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
    assert_ne!(run(1, false).trace, run(2, false).trace);
}
