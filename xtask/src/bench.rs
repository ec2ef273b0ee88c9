//! `cargo xtask bench`: start-up, memory, partitions, zero copy and throughput of the release
//! binary, as a real process, beside Apache Kafka if asked for.
//!
//! Called by hand; `docs/benchmarks.md` keeps what it printed. Brokers are seen from outside only:
//! through their socket and through `/proc`.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod apache;
mod broker;
mod compare;
mod coordinators;
mod figures;
mod load;
mod partitions;
mod startup;
mod wire;
mod zero_copy;

use std::path::{Path, PathBuf};
use std::process::Command;

use broker::Kalda;
use figures::Table;

/// What can fail while measuring.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Scale {
    starts: usize,
    topics: usize,
    partitions_per_topic: i32,
    load_bytes: u64,
    /// Rounds that are not counted: they warm the page cache, and a JVM until it has compiled.
    warm_up_rounds: usize,
    rounds: usize,
    transactions: usize,
    commits: usize,
    /// Records in the partition that is loaded.
    reloaded: usize,
}

impl Scale {
    const FULL: Self = Self {
        starts: 15,
        topics: 10,
        partitions_per_topic: 1000,
        load_bytes: 1 << 30,
        warm_up_rounds: 3,
        rounds: 5,
        transactions: 2_000,
        commits: 200_000,
        reloaded: 1_000_000,
    };
    const QUICK: Self = Self {
        starts: 10,
        load_bytes: 256 << 20,
        warm_up_rounds: 1,
        rounds: 3,
        transactions: 400,
        commits: 20_000,
        ..Self::FULL
    };
}

/// The parts, as `--only` names them.
const PARTS: [&str; 6] =
    ["start", "partitions", "zero-copy", "throughput", "coordinators", "coordinator-load"];

/// What the command line asks for.
struct Options {
    scale: Scale,
    with_apache: bool,
    binary: Option<PathBuf>,
    only: Option<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { scale: Scale::FULL, with_apache: false, binary: None, only: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} takes a value"));
            match argument.as_str() {
                "--quick" => options.scale = Scale::QUICK,
                "--apache" => options.with_apache = true,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--only" => options.only = Some(value()?.clone()),
                unknown => return Err(format!("bench takes no {unknown}")),
            }
        }
        match &options.only {
            Some(only) if !PARTS.contains(&only.as_str()) => {
                Err(format!("--only takes one of {}, not {only}", PARTS.join(", ")))
            }
            _ => Ok(options),
        }
    }
}

/// `cargo xtask bench`.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let binary = match &options.binary {
        Some(binary) => std::fs::canonicalize(binary).map_err(Into::into),
        None => build(root),
    };
    let outcome = binary.and_then(|binary| measure(root, binary, &options));
    outcome.map_err(|error| format!("bench: {error}"))
}

/// The release binary of the workspace as it is.
fn build(root: &Path) -> Outcome<PathBuf> {
    let built = Command::new("cargo").args(["build", "--release"]).current_dir(root).status()?;
    if !built.success() {
        return Err("the release binary was not built".into());
    }
    Ok(root.join("target/release/kalda"))
}

fn measure(root: &Path, binary: PathBuf, options: &Options) -> Outcome<()> {
    let kalda = Kalda { binary };
    let scale = options.scale;
    println!("{}", figures::machine()?);
    let mut table = Table::new();
    // A part that fails is told at once and at the end, and does not take the others with it.
    let mut failures = Vec::new();
    for part in PARTS {
        if options.only.as_ref().is_some_and(|only| only != part) {
            continue;
        }
        let outcome = match part {
            "start" => startup::measure(&kalda, scale, &mut table),
            "partitions" => partitions::measure(&kalda, scale, &mut table),
            "zero-copy" => zero_copy::measure(&kalda, &mut table),
            "throughput" => throughput(root, &kalda, options, &mut table),
            "coordinators" => coordination(root, &kalda, options, &mut table),
            _ => coordinator_load(root, &kalda, options, &mut table),
        };
        if let Err(error) = outcome {
            println!("{part}: FAILED: {error}");
            failures.push(format!("{part}: {error}"));
        }
    }
    println!("\n{table}");
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

fn throughput(root: &Path, kalda: &Kalda, options: &Options, table: &mut Table) -> Outcome<()> {
    let jars = if options.with_apache { Some(apache::jars(root)?) } else { None };
    compare::measure(kalda, jars.as_deref(), options.scale, table)
}

fn coordination(root: &Path, kalda: &Kalda, options: &Options, table: &mut Table) -> Outcome<()> {
    let jars = if options.with_apache { Some(apache::jars(root)?) } else { None };
    coordinators::measure(kalda, jars.as_deref(), options.scale, table)
}

fn coordinator_load(
    root: &Path,
    kalda: &Kalda,
    options: &Options,
    table: &mut Table,
) -> Outcome<()> {
    let jars = if options.with_apache { Some(apache::jars(root)?) } else { None };
    coordinators::measure_load(kalda, jars.as_deref(), options.scale, table)
}
