//! Whole nodes under one seed: machines with disks, clocks and a network that fail as the seed says,
//! the real server on each of them, the real client beside them, an oracle that hears of all that
//! clients are told, and a watch that sees all nodes and disks at once.
//!
//! Everything runs in one thread of one process, in simulated time. Called by the tests of this crate,
//! which are also its command line: see `docs/reliability.md`.

#![allow(clippy::unwrap_used, reason = "a simulation fails by panicking")]

mod chance;
mod clock;
mod copies;
mod disk;
mod faults;
mod group;
mod groups;
mod lines;
mod machine;
mod movers;
mod network;
mod operator;
mod oracle;
mod panics;
mod shape;
mod threads;
mod trace;
mod watch;
mod workload;

use std::rc::Rc;
use std::time::Duration;

use turmoil::Sim;

use faults::Trouble;
use machine::Machine;
use network::Cuts;
use shape::Shape;
use watch::Watch;
use workload::{Phase, Workload};

pub use oracle::{Counts, SEEDS_FOR_ALL, SEEDS_FOR_MOST};

/// What happens to a node within a tick happens at one moment to the others.
const TICK: Duration = Duration::from_millis(2);
/// A new cluster has its first topic after this time.
const BEGIN_MAX_MS: u64 = 40_000;
/// What comes after the trouble is over by then.
const END_MAX_MS: u64 = 120_000;
/// After the last look of the clients, nothing is under way any more by then.
const REST_MAX_MS: u64 = 20_000;

/// Which run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What decides everything.
    pub seed: u64,
    /// For how long things happen to the cluster, in simulated seconds.
    pub seconds: u64,
    /// Whether one of the disks flips bits of records that it was given.
    pub flips_bits: bool,
    /// Whether to print what happens.
    pub is_verbose: bool,
}

/// What came of a run in which everything held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How often things happened.
    pub counts: Counts,
    /// A digest of every byte that was written and everything that was answered, and of how many events.
    pub digest: (u64, u64),
    /// How much simulated time passed.
    pub elapsed: Duration,
}

/// Runs a cluster under a seed.
///
/// # Panics
/// Something does not hold.
#[must_use]
pub fn run(options: Options) -> Outcome {
    let Options { seed, seconds, is_verbose, .. } = options;
    let _one_at_a_time = ONE_AT_A_TIME.lock();
    panics::watch();
    align_task_ids();
    let trace = trace::Trace::new(is_verbose);
    let cuts = Cuts::default();
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(1_000_000))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(8))
        .tcp_capacity(65_536)
        .build();
    let shape = Shape::of(seed);
    trace.tell(&shape.told());
    let machine = |place| Machine::new(&shape, place, seed, &cuts, &trace);
    let machines: Vec<Machine> = shape.places.iter().map(machine).collect();
    machines.iter().for_each(|machine| machine.join(&mut sim));
    let workload = Workload::new(seed, &shape, &cuts, &trace);
    sim.client(workload::HOST, Rc::clone(&workload).run());
    let mut run = Run { sim, machines, trace, watch: Watch::new(!options.flips_bits) };

    while workload.phase.get() == Phase::Begin {
        assert!(run.now_ms() < BEGIN_MAX_MS, "no topic is there after {BEGIN_MAX_MS} ms");
        run.step();
    }
    let mut trouble = Trouble::new(options, &shape, &cuts, &run.trace, run.now_ms());
    let end_ms = run.now_ms() + seconds * 1000;
    while run.now_ms() < end_ms {
        run.step();
        let now = run.now_ms();
        trouble.go_on(&mut run.sim, &run.machines, now);
    }
    trouble.end(&mut run.sim, &run.machines);
    workload.phase.set(Phase::Healed);
    run.trace.tell("no more trouble");
    let most_ms = run.now_ms() + END_MAX_MS;
    while workload.phase.get() != Phase::Over {
        assert!(run.now_ms() < most_ms, "the cluster is not looked at in {END_MAX_MS} ms");
        run.step();
        // Some may have been about to stop when the trouble ended.
        trouble.start_ended(&mut run.sim, &run.machines);
    }
    run.rest();

    let mut counts = workload.oracle.borrow().counts.clone();
    counts.add(&trouble.counts);
    Outcome { counts, digest: run.trace.digest(), elapsed: run.sim.elapsed() }
}

/// A run that is on.
struct Run<'a> {
    sim: Sim<'a>,
    machines: Vec<Machine>,
    trace: trace::Trace,
    watch: Watch,
}

impl Run<'_> {
    fn now_ms(&self) -> u64 {
        self.sim.elapsed().as_millis() as u64
    }

    fn step(&mut self) {
        self.trace.at(self.now_ms());
        panics::on_tick();
        if let Err(error) = self.sim.step() {
            panic!("{error}");
        }
        panics::assert_none();
        self.machines.iter().for_each(|machine| machine.bury(&mut self.sim));
        let now_ms = self.now_ms();
        self.watch.look(&self.machines, now_ms);
    }

    /// The clients are gone: what they left under way comes to its end, and then all is as it must be.
    fn rest(&mut self) {
        let most_ms = self.now_ms() + REST_MAX_MS;
        while let Err(why) = self.watch.look_at_rest(&self.machines) {
            assert!(self.now_ms() < most_ms, "something is left after {REST_MAX_MS} ms: {why}");
            self.step();
        }
        self.watch.look_at_end(&self.machines);
    }
}

/// tokio numbers the tasks of a process, and drops those of a runtime in an order that follows from the
/// lowest bits of their numbers: another run must not count in between, and each begins alike.
static ONE_AT_A_TIME: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

fn align_task_ids() {
    const ALIGNED: u64 = 1 << 12;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        loop {
            let number: u64 = tokio::spawn(async {}).id().to_string().parse().unwrap();
            if number.is_multiple_of(ALIGNED) {
                return;
            }
        }
    });
}
