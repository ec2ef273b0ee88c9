//! `cargo xtask bench`: what the release binary costs and how fast it is, as a real process, beside Apache
//! Kafka, others, and what the machine can do at all.
//!
//! Called by hand; `docs/benchmarks.md` tells how it is done and what was found. Brokers are seen from
//! outside only: through their socket and through `/proc`.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod apache;
mod broker;
mod ceiling;
mod downloads;
mod figures;
mod generators;
mod load;
mod machine;
mod options;
mod peers;
mod report;
mod rounds;
mod subjects;
mod throughput;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use broker::Kalda;
use options::{Command, Scale};
use report::Part;

/// What can fail while measuring.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What is measured, and how much.
struct Bench {
    kalda: Kalda,
    /// The class path of Apache Kafka, unless it is left out.
    jars: Option<PathBuf>,
    scale: Scale,
}

/// A part: its name for `--only`, its title, and what does it.
type Measure = fn(&Bench, &mut Part) -> Outcome<()>;

/// In the order in which they are run.
const PARTS: &[(&str, &str, Measure)] = &[
    ("machine", "What the machine can do", machine::measure),
    ("large", "Much data", throughput::large),
    ("small", "Small requests", throughput::small),
    ("durable", "Small requests, on disk before the answer", throughput::durable),
    ("generators", "Driven by others' clients", generators::measure),
    ("peers", "Other systems", peers::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match options::parse(&arguments) {
        Ok(Command::Help) => {
            println!("{}", options::usage());
            Ok(())
        }
        Ok(Command::Ceiling { address, directory }) => ceiling::serve(address, directory),
        Ok(Command::Measure(options)) => measure(&options),
        Err(problem) => Err(format!("{problem}\n{}", options::usage()).into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &options::Options) -> Outcome<()> {
    let jars = if options.is_alone { None } else { Some(apache::jars(&options.root)?) };
    let bench =
        Bench { kalda: Kalda { binary: options.binary.clone() }, jars, scale: options.scale };
    println!("{}", figures::machine()?);
    machine::touch_memory(options.scale.touched_bytes)?;
    let mut parts = Vec::new();
    // A part that fails is told at once and at the end, and does not take the others with it.
    let mut failures = Vec::new();
    for (name, title, measure) in PARTS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        println!("{title}");
        let mut part = Part::new(name, title);
        if let Err(error) = measure(&bench, &mut part) {
            println!("  FAILED: {error}");
            part.note(format!("This part failed: {error}"));
            failures.push(format!("{name}: {error}"));
        }
        parts.push(part);
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n").into()),
    }
}
