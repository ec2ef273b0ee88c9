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

use std::path::Path;
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

/// `cargo xtask bench [--quick] [--apache]`.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), String> {
    let is_set = |name: &str| options.iter().any(|option| option == name);
    if let Some(unknown) =
        options.iter().find(|option| !matches!(&***option, "--quick" | "--apache"))
    {
        return Err(format!("bench takes --quick and --apache, not {unknown}"));
    }
    let scale = if is_set("--quick") { Scale::QUICK } else { Scale::FULL };
    measure(root, scale, is_set("--apache")).map_err(|error| format!("bench: {error}"))
}

fn measure(root: &Path, scale: Scale, with_apache: bool) -> Outcome<()> {
    let built = Command::new("cargo").args(["build", "--release"]).current_dir(root).status()?;
    if !built.success() {
        return Err("the release binary was not built".into());
    }
    let kalda = broker::Kalda { binary: root.join("target/release/kalda") };
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
