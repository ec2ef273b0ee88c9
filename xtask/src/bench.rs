//! `cargo xtask bench`: start-up, memory, partitions, zero copy and throughput of the release
//! binary, as a real process, beside Apache Kafka if asked for.
//!
//! Called by hand; `docs/benchmarks.md` keeps what it printed. Brokers are seen from outside only:
//! through their socket and through `/proc`.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod apache;
mod broker;
mod compare;
mod figures;
mod load;
mod partitions;
mod startup;
mod wire;
mod zero_copy;

use std::path::{Path, PathBuf};
use std::process::Command;

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
    rounds: usize,
}

impl Scale {
    const FULL: Self =
        Self { starts: 15, topics: 10, partitions_per_topic: 1000, load_bytes: 1 << 30, rounds: 5 };
    const QUICK: Self = Self { starts: 10, load_bytes: 256 << 20, rounds: 3, ..Self::FULL };
}

/// `cargo xtask bench [--quick] [--apache] [--binary PATH]`.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), String> {
    let (mut scale, mut with_apache, mut binary) = (Scale::FULL, false, None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.as_str() {
            "--quick" => scale = Scale::QUICK,
            "--apache" => with_apache = true,
            "--binary" => binary = Some(options.next().ok_or("--binary takes a path")?),
            unknown => return Err(format!("bench takes no {unknown}")),
        }
    }
    let outcome = match binary {
        Some(binary) => std::fs::canonicalize(binary).map_err(Into::into),
        None => build(root),
    };
    let outcome = outcome.and_then(|binary| measure(root, binary, scale, with_apache));
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

fn measure(root: &Path, binary: PathBuf, scale: Scale, with_apache: bool) -> Outcome<()> {
    let kalda = broker::Kalda { binary };
    println!("{}", figures::machine()?);
    let mut table = Table::new();
    startup::measure(&kalda, scale, &mut table)?;
    partitions::measure(&kalda, scale, &mut table)?;
    zero_copy::measure(&kalda, &mut table)?;
    let jars = if with_apache { Some(apache::jars(root)?) } else { None };
    compare::measure(&kalda, jars.as_deref(), scale, &mut table)?;
    println!("\n{table}");
    Ok(())
}
