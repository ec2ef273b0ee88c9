//! Whole nodes under one seed: three machines with disks, clocks and a network that fail as the seed
//! says, the real server on each of them, the real client beside them, and an oracle that hears of all.
//!
//! Everything runs in one thread of one process, in simulated time. Called by the tests of this crate,
//! which are also its command line: see `docs/reliability.md`.

#![allow(clippy::unwrap_used, reason = "a simulation fails by panicking")]

mod chance;
mod clock;
mod disk;
mod faults;
mod lines;
mod machine;
mod movers;
mod network;
mod operator;
mod oracle;
mod panics;
mod threads;
mod trace;
mod workload;

use std::rc::Rc;
use std::time::Duration;

use turmoil::Sim;

use faults::Trouble;
use machine::{DATA, Machine};
use network::Cuts;
use workload::{Phase, Workload};

pub use oracle::Counts;

/// The hosts of the simulation, by their names in its network.
const HOSTS: [&str; 4] = ["n1", "n2", "n3", workload::HOST];
/// What happens to a node within a tick happens at one moment to the others.
const TICK: Duration = Duration::from_millis(1);
/// A new cluster has its first topic after this time.
const BEGIN_MAX_MS: u64 = 40_000;
/// What comes after the trouble is over by then.
const END_MAX_MS: u64 = 120_000;

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
    let machines: Vec<Machine> =
        (1..=3).map(|number| Machine::new(number, seed, &cuts, &trace)).collect();
    machines.iter().for_each(|machine| machine.join(&mut sim));
    let workload = Workload::new(seed, &cuts, &trace);
    sim.client(workload::HOST, Rc::clone(&workload).run());

    while workload.phase.get() == Phase::Begin {
        assert!(now_ms(&sim) < BEGIN_MAX_MS, "no topic is there after {BEGIN_MAX_MS} ms");
        step(&mut sim, &machines, &trace);
    }
    let mut trouble = Trouble::new(options, &cuts, &trace, now_ms(&sim));
    let end_ms = now_ms(&sim) + seconds * 1000;
    while now_ms(&sim) < end_ms {
        step(&mut sim, &machines, &trace);
        let now = now_ms(&sim);
        trouble.go_on(&mut sim, &machines, now);
    }
    trouble.end(&mut sim, &machines);
    workload.phase.set(Phase::Healed);
    trace.tell("no more trouble");
    let most_ms = now_ms(&sim) + END_MAX_MS;
    while workload.phase.get() != Phase::Over {
        assert!(now_ms(&sim) < most_ms, "the cluster is not looked at in {END_MAX_MS} ms");
        step(&mut sim, &machines, &trace);
        // Some may have been about to stop when the trouble ended.
        trouble.start_ended(&mut sim, &machines);
    }
    assert_replicas_are_equal(&machines);

    let mut counts = workload.oracle.borrow().counts.clone();
    counts.add(&trouble.counts);
    Outcome { counts, digest: trace.digest(), elapsed: sim.elapsed() }
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

fn now_ms(sim: &Sim<'_>) -> u64 {
    sim.elapsed().as_millis() as u64
}

fn step(sim: &mut Sim<'_>, machines: &[Machine], trace: &trace::Trace) {
    trace.at(now_ms(sim));
    panics::on_tick();
    if let Err(error) = sim.step() {
        panic!("{error}");
    }
    panics::assert_none();
    machines.iter().for_each(|machine| machine.bury(sim));
}

/// The committed records of a partition are the same bytes on every disk.
fn assert_replicas_are_equal(machines: &[Machine]) {
    for at in workload::TOPICS.into_iter().flat_map(workload::Topic::all) {
        let dir = format!("{DATA}/{at}");
        let logs: Vec<Vec<u8>> = machines
            .iter()
            .map(|machine| {
                let files = machine.platter.files_below(&dir);
                let logs = files.into_iter().filter(|(name, _)| name.ends_with(".log"));
                logs.flat_map(|(_, content)| content).collect()
            })
            .collect();
        for (machine, log) in machines.iter().zip(&logs) {
            let len = (log.len(), logs[0].len());
            assert!(*log == logs[0], "{dir} of {} is another one: {len:?} bytes", machine.name);
        }
    }
}
