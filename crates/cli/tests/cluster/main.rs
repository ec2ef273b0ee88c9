//! Three nodes as processes of their own, with all that may happen to them: killed one or all, stopped,
//! paused, cut off, out of disk, come back with nothing, while producers, transactions, groups and
//! readers work at them and write down what they were told.
//!
//! A round is work, one or two faults in the midst of it, and a look at everything when all is healed
//! and every replica is in sync again. `KALDA_CLUSTER_SECONDS` (40) is how long rounds begin,
//! `KALDA_SEED` (the clock) decides what happens, `KALDA_FAULTS` (all) names the kinds, separated by
//! commas. A failure names the line that does it again, and keeps the directories.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test may look at the real clock")]

mod appender;
mod check;
#[path = "../../../server/tests/broker/client.rs"]
mod client;
#[path = "../transactions/copier.rs"]
mod copier;
mod faults;
#[path = "../transactions/member.rs"]
mod member;
#[path = "../transactions/mover.rs"]
mod mover;
mod network;
mod nodes;
#[path = "../process/mod.rs"]
mod process;
#[path = "../transactions/reader.rs"]
#[allow(dead_code, reason = "offsets are asked for where the coordinator is")]
mod reader;
mod replicas;
mod watcher;
mod workers;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use kalda_client::Client;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use check::Known;
use faults::{Fault, KINDS};
use mover::Fate;
use nodes::{Cluster, NODES};
use process::{Numbers, check_logs, pause};
use workers::{Mortals, Phase, Workers};

/// Longer than anything takes on a busy machine when all faults are over.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than a round may take, with all of its faults.
pub(crate) const ROUND_MAX: Duration = Duration::from_secs(240);
/// Rounds begin as long as that, unless another time was asked for.
const SECONDS: u64 = 40;

/// A client that does not wait long before it tries again.
pub(crate) fn client_of(bootstrap: &str, settings: &[(&str, &str)]) -> Client {
    let mut builder = Client::builder(bootstrap);
    for (key, value) in [("reconnect.backoff.max.ms", "50"), ("retry.backoff.max.ms", "100")] {
        builder = builder.set(key, value);
    }
    for (key, value) in settings {
        builder = builder.set(key, value);
    }
    builder.build().unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

struct Test {
    seed: u64,
    numbers: Numbers,
    kinds: Vec<usize>,
    runtime: Runtime,
    workers: Workers,
    known: Known,
    /// Dropped before its home.
    cluster: Cluster,
    home: tempfile::TempDir,
    /// How often each kind of fault was.
    faults: [u64; KINDS.len()],
    rounds: u64,
    compared: (usize, usize),
}

impl Drop for Test {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.home.disable_cleanup(true);
            let kinds: Vec<_> = self.kinds.iter().map(|kind| KINDS[*kind]).collect();
            eprintln!(
                "failed in round {} after {:?}; see {}\nagain: KALDA_SEED={} KALDA_FAULTS='{}' KALDA_CLUSTER_SECONDS=600 cargo test -p kalda --test cluster",
                self.rounds,
                self.counts(),
                self.home.path().display(),
                self.seed,
                kinds.join(","),
            );
        }
    }
}

impl Test {
    fn new(seed: u64, kinds: Vec<usize>) -> Self {
        let mut numbers = Numbers(seed);
        let home = tempfile::tempdir().unwrap();
        Self {
            seed,
            workers: Workers::new(&mut numbers),
            numbers,
            kinds,
            runtime: runtime(),
            known: Known::default(),
            cluster: Cluster::new(home.path()),
            home,
            faults: [0; KINDS.len()],
            rounds: 0,
            compared: (0, 0),
        }
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        KINDS.into_iter().zip(self.faults).filter(|(_, times)| *times > 0).collect()
    }

    fn set_up(&mut self) {
        self.cluster.start_all();
        self.cluster.wait_until_ready();
        let bootstrap = self.cluster.bootstrap();
        self.runtime.block_on(self.workers.set_up(&bootstrap));
    }

    /// Work, faults in the midst of it, and a look at everything.
    fn round(&mut self) {
        self.rounds += 1;
        let mortals = Mortals::draw(&mut self.numbers);
        let count = 1 + self.numbers.below(2);
        let faults: Vec<Fault> =
            (0..count).map(|_| Fault::draw(&mut self.numbers, &self.kinds)).collect();
        let between = Duration::from_millis(50 + self.numbers.below(1_000));
        eprintln!("round {}: {faults:?}, {mortals:?}", self.rounds);
        for fault in &faults {
            self.faults[fault.kind()] += 1;
        }
        let bootstrap = self.cluster.bootstrap();
        let (phase, watched) = watch::channel(Phase::Running);
        let (runtime, workers, cluster) = (&self.runtime, &mut self.workers, &mut self.cluster);
        std::thread::scope(|scope| {
            let control = scope.spawn(move || {
                // Whatever becomes of this thread, the others must come to an end.
                let phase = Ending(phase);
                let runtime = self::runtime();
                let client = client_of(&bootstrap, &[]);
                for fault in faults {
                    pause(between);
                    runtime.block_on(fault.perform(cluster, &client));
                    phase.0.send_replace(Phase::Dying);
                }
                runtime.block_on(cluster.wait_until_whole());
            });
            runtime.block_on(workers.round(&watched, mortals));
            if let Err(panic) = control.join() {
                std::panic::resume_unwind(panic);
            }
        });
        let bootstrap = self.cluster.bootstrap();
        self.runtime.block_on(self.workers.revive(&bootstrap));
        self.check(self.rounds.is_multiple_of(10));
    }

    /// All producers rest, and what the dead ones left behind is aborted: now everything is decided.
    fn check(&mut self, is_whole: bool) {
        let committed = [("isolation.level", "read_committed")];
        let client = client_of(&self.cluster.bootstrap(), &committed);
        let check = self.known.check(&client, &self.cluster, &mut self.workers, is_whole);
        self.runtime.block_on(check);
        let data = NODES.map(|node| self.cluster.data(node));
        let topics = BTreeSet::from([mover::TOPIC, copier::TOPIC, appender::TOPIC]);
        self.compared = replicas::wait_until_equal(&data, &topics);
    }

    /// A clean stop of all and one more start change nothing; then a look at every byte.
    fn finish(&mut self) -> usize {
        self.check(true);
        self.cluster.stop_all();
        self.cluster.start_all();
        self.runtime.block_on(self.cluster.wait_until_whole());
        self.check(true);
        self.cluster.stop_all();
        let data = NODES.map(|node| self.cluster.data(node));
        data.iter().map(|data| check_logs(data)).sum()
    }
}

/// Ends the round when dropped.
struct Ending(watch::Sender<Phase>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.send_replace(Phase::Over);
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// The kinds of faults that were asked for.
fn kinds() -> Vec<usize> {
    let Ok(names) = std::env::var("KALDA_FAULTS") else { return (0..KINDS.len()).collect() };
    let kind = |name: &str| KINDS.iter().position(|kind| *kind == name);
    names.split(',').map(|name| kind(name).unwrap_or_else(|| panic!("{name}: {KINDS:?}"))).collect()
}

#[test]
fn faults_of_a_minority_and_the_death_of_all_lose_nothing() {
    let start = Instant::now();
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = from_environment("KALDA_SEED").unwrap_or(clock.as_nanos() as u64);
    let seconds = from_environment("KALDA_CLUSTER_SECONDS").unwrap_or(SECONDS);
    let mut test = Test::new(seed, kinds());
    test.set_up();
    while start.elapsed() < Duration::from_secs(seconds) {
        test.round();
    }
    let batches = test.finish();
    let fates = test.workers.movers.iter().flat_map(|mover| mover.book.values());
    let (committed, aborted): (Vec<_>, Vec<_>) =
        fates.partition(|written| written.fate == Fate::Committed);
    let acknowledged: u64 = test.workers.appenders.iter().map(|one| one.acknowledged).sum();
    let given: u64 = test.workers.watchers.iter().map(|one| one.given).sum();
    assert!(acknowledged > 0 && given > 0 && !committed.is_empty());
    println!(
        "seed {seed}: {} rounds, {:?}; {acknowledged} lines acknowledged, {} transactions committed and {} aborted, {} records copied, {} commits of offsets, {given} records watched, {} partitions of {} bytes equal on all nodes, {batches} batches on disk, {:?}",
        test.rounds,
        test.counts(),
        committed.len(),
        aborted.len(),
        test.workers.copier.copied,
        test.workers.member.commits,
        test.compared.0,
        test.compared.1,
        start.elapsed()
    );
}
