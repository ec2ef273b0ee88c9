//! Whole quorums under a seed: a network that loses, doubles, delays and parts, nodes that crash
//! and forget what was not on their disks, voters that come and go, snapshots.
//!
//! `KALDA_SEEDS` says how many seeds are run, from `KALDA_FIRST_SEED` on; `KALDA_SEED` runs one and
//! prints what happens in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chance;
mod disk;
mod faults;
mod names;
mod oracle;
mod world;

use chance::Chance;
use world::World;

const SEEDS: u64 = 2500;
const REPLAY: &str = "cargo test -p kalda-raft --test simulation seeds -- --nocapture";

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
    world.heal_and_settle();
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
        assert!(first.steps > 100, "seed {seed}");
    }
    assert_ne!(run(1, false).trace, run(2, false).trace);
}

/// An observer that had lost its leader refused every pre-vote, and a candidate in whose log it was
/// a voter already needed its promise.
#[test]
fn seed_1966_an_observer_does_not_stand_in_the_way_for_ever() {
    run(1966, false);
}

/// Pre-vote (KIP-996): whoever hears nobody cannot win, and so does not count up its epoch.
#[test]
fn a_node_that_is_cut_off_does_not_count_up_its_epoch() {
    for seed in 0..20 {
        let _replay = Replay(seed);
        let mut world = World::calm(seed, 3);
        world.settle();
        let leader = world.leader().unwrap();
        let epoch = world.epoch_of(leader);
        let lonely = (0..3).find(|index| *index != leader).unwrap();
        world.isolate(lonely);
        world.run_for(120_000);
        assert_eq!(world.epoch_of(lonely), epoch, "seed {seed}");
        world.heal_network();
        world.settle();
        assert_eq!(world.leader(), Some(leader), "seed {seed}: its return deposed nobody");
        assert_eq!(world.epoch_of(leader), epoch, "seed {seed}");
    }
}

/// Check-quorum: a leader that is cut off steps down, once, and the others have another one.
#[test]
fn a_leader_that_is_cut_off_steps_down() {
    for seed in 0..20 {
        let _replay = Replay(seed);
        let mut world = World::calm(seed, 5);
        world.settle();
        let old = world.leader().unwrap();
        let epoch = world.epoch_of(old);
        world.isolate(old);
        world.run_for(10_000);
        let new = world.leader().unwrap();
        assert_ne!(new, old, "seed {seed}");
        world.run_for(60_000);
        assert!(world.epoch_of(old).0 <= epoch.0 + 1, "seed {seed}: it resigned once");
        world.heal_network();
        world.settle();
        assert_eq!(world.leader(), Some(new), "seed {seed}");
    }
}

/// A flush that takes its time is no silence: nobody takes anybody for dead, and what was written is
/// committed by and by.
#[test]
fn a_leader_is_kept_while_the_disks_are_slow() {
    for seed in 0..20 {
        let _replay = Replay(seed);
        let mut world = World::calm(seed, 3);
        world.settle();
        let leader = world.leader().unwrap();
        let epoch = world.epoch_of(leader);
        world.network.flush_ms_max = 15_000;
        for _ in 0..60 {
            world.write(leader).unwrap();
            world.run_for(1000);
        }
        assert_eq!(world.leader(), Some(leader), "seed {seed}");
        assert_eq!(world.epoch_of(leader), epoch, "seed {seed}");
        world.network.flush_ms_max = 10;
        world.settle();
        assert_eq!(world.epoch_of(leader), epoch, "seed {seed}");
    }
}

/// Hand-over: the successor does not wait for a timeout.
#[test]
fn a_leader_that_resigns_is_followed_at_once() {
    let mut slowest = 0;
    for seed in 0..40 {
        let _replay = Replay(seed);
        let mut world = World::calm(seed, if seed % 2 == 0 { 3 } else { 5 });
        world.settle();
        let old = world.leader().unwrap();
        world.resign(old);
        let begun = world.now;
        while world.leader().is_none_or(|new| new == old) {
            world.run_for(10);
            assert!(world.now - begun < 1000, "seed {seed}: nobody took over");
        }
        slowest = slowest.max(world.now - begun);
    }
    assert!(slowest < 500, "it took {slowest} ms");
}

/// A disk that was wiped is another replica, which votes only when the voters let it in.
#[test]
fn a_voter_whose_disk_was_wiped_is_replaced() {
    for seed in 0..10 {
        let _replay = Replay(seed);
        let mut world = World::calm(seed, 3);
        world.settle();
        let leader = world.leader().unwrap();
        let wiped = (0..3).find(|index| *index != leader).unwrap();
        world.wipe(wiped);
        world.run_for(5_000);
        assert!(!world.is_voter(wiped), "seed {seed}: it lost its vote with its disk");
        world.replace_wiped(wiped);
        world.settle();
        assert!(world.is_voter(wiped), "seed {seed}");
    }
}

#[test]
fn chance_is_repeatable() {
    let (a, b) = (Chance::new(9), Chance::new(9));
    let draw = |chance: &Chance| (0..5).map(|_| chance.below(1000)).collect::<Vec<_>>();
    assert_eq!(draw(&a), draw(&b));
}
