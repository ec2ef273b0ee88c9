//! Seeds, one after the other, and the test that a seed is a run.
//!
//! `KALDA_SIM_SEEDS` says how many seeds are run, from `KALDA_SIM_FIRST_SEED` on, with
//! `KALDA_SIM_SECONDS` of trouble in each; `KALDA_SIM_SEED` runs one and prints what happens in it.
//! `KALDA_SIM_FLIPS=1` has one disk flip bits, too. `KALDA_SIM_LOG=debug` prints what the nodes say, too.

use kalda_env::{Clock as _, SystemClock};
use kalda_sim::{Counts, Options, Outcome, SEEDS_FOR_MOST, run};

const SEEDS: u64 = SEEDS_FOR_MOST;
const SECONDS: u64 = 30;
const REPLAY: &str = "cargo test --release -p kalda-sim --test seeds seeds -- --nocapture";

/// Says how to run the seed again if it fails.
struct Replay(Options);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Options { seed, seconds, flips_bits, .. } = self.0;
            let flips = if flips_bits { " KALDA_SIM_FLIPS=1" } else { "" };
            eprintln!("KALDA_SIM_SEED={seed} KALDA_SIM_SECONDS={seconds}{flips} {REPLAY}");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn watched(options: Options) -> Outcome {
    let _replay = Replay(options);
    run(options)
}

#[test]
fn seeds() {
    if let Ok(level) = std::env::var("KALDA_SIM_LOG") {
        let filter = tracing_subscriber::EnvFilter::new(level);
        tracing_subscriber::fmt().with_env_filter(filter).without_time().init();
    }
    let seconds = number("KALDA_SIM_SECONDS").unwrap_or(SECONDS);
    let flips_bits = number("KALDA_SIM_FLIPS").is_some_and(|flips| flips > 0);
    if let Some(seed) = number("KALDA_SIM_SEED") {
        println!("{:?}", watched(Options { seed, seconds, flips_bits, is_verbose: true }));
        return;
    }
    let mut sum = Counts::default();
    let first = number("KALDA_SIM_FIRST_SEED").unwrap_or(0);
    let count = number("KALDA_SIM_SEEDS").unwrap_or(SEEDS);
    for seed in first..first + count {
        let begun = SystemClock::new();
        let outcome = watched(Options { seed, seconds, flips_bits, is_verbose: false });
        println!(
            "seed {seed}: {:016x} after {} events, {:.1} simulated s in {:.1} s",
            outcome.digest.0,
            outcome.digest.1,
            outcome.elapsed.as_secs_f64(),
            begun.monotonic_ms() as f64 / 1000.0
        );
        sum.add(&outcome.counts);
    }
    println!("{sum:?}");
    // A simulation in which nothing happens finds nothing.
    if seconds >= SECONDS {
        let missing = sum.missing(count, flips_bits);
        assert!(missing.is_empty(), "none of these in any seed: {missing:?}");
    }
}

#[test]
fn one_seed_twice_is_one_run() {
    let options = Options { seed: 7, seconds: 10, flips_bits: false, is_verbose: false };
    let (first, second) = (watched(options), watched(options));
    assert_eq!(first, second);
    assert!(first.digest.1 > 1000, "{first:?}");
    let other = watched(Options { seed: 8, ..options });
    assert_ne!(first.digest, other.digest);
}
