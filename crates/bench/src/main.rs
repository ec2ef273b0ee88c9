//! `cargo xtask bench`: what the release binary costs and how fast it is, as a real process, beside Apache
//! Kafka, others, and what the machine can do at all.
//!
//! Called by hand; `docs/benchmarks.md` tells how it is done and what was found. Brokers are seen from
//! outside only: through their socket and through `/proc`.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod apache;
mod broker;
mod calls;
mod ceiling;
mod cluster;
mod coordinators;
mod downloads;
mod figures;
mod generators;
mod idle;
mod latency;
mod load;
mod machine;
mod options;
mod peers;
mod plot;
mod recovery;
mod report;
mod rounds;
mod sessions;
mod subjects;
mod throughput;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use broker::Kalda;
use load::{large, tiny};
use options::{Command, LoadKind, Scale};
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
    ("start", "Start and stop", idle::start),
    ("held", "What is held: partitions and connections", idle::held),
    ("large", "Much data", throughput::large),
    ("small", "Small requests", throughput::small),
    ("durable", "Small requests, on disk before the answer", throughput::durable),
    ("sessions", "Many partitions, little traffic", sessions::measure),
    ("latency", "Latency at fixed rates", latency::measure),
    ("recovery", "After a kill", recovery::after_kill),
    ("lagging", "Readers that lag behind", recovery::lagging),
    ("calls", "System calls", calls::measure),
    ("coordinators", "Coordinators", coordinators::measure),
    ("coordinator-load", "Load of a coordinator", coordinators::measure_load),
    ("cluster", "Three nodes", cluster::measure),
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
        Ok(Command::Load(load)) => put(&load),
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

fn put(load: &options::Load) -> Outcome<()> {
    let options::Load { kind, address, topic, amount } = load;
    let run = match kind {
        LoadKind::Large => large::produce(*address, topic, *amount)?,
        LoadKind::Fetch => large::fetch(*address, topic, *amount)?,
        LoadKind::Small(connections) => {
            tiny::produce(*address, std::slice::from_ref(topic), *connections, *amount)?
        }
    };
    let (rate, requests) = (run.rate(), run.requests as f64 / run.seconds);
    let (p50, p99) = (run.percentile_ms(0.5), run.percentile_ms(0.99));
    println!("{requests:.0} requests/s, {rate:.1} MB/s, p50 {p50:.3} ms, p99 {p99:.3} ms");
    Ok(())
}

fn measure(options: &options::Options) -> Outcome<()> {
    let jars = if options.is_alone { None } else { Some(apache::jars(&options.root)?) };
    let bench =
        Bench { kalda: Kalda { binary: options.binary.clone() }, jars, scale: options.scale };
    println!("{}", figures::machine()?);
    let begun = Instant::now();
    machine::allow_files()?;
    machine::touch_memory(options.scale.touched_bytes)?;
    let mut parts = Vec::new();
    // A part that fails is told at once and at the end, and does not take the others with it.
    let mut failures = Vec::new();
    for (name, title, measure) in PARTS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        println!("{title} (after {} s)", begun.elapsed().as_secs());
        let mut part = Part::new(name, title);
        if let Err(error) = measure(&bench, &mut part) {
            println!("  FAILED: {error}");
            part.note(format!("This part failed: {error}"));
            failures.push(format!("{name}: {error}"));
        }
        parts.push(part);
    }
    if let Some(directory) = &options.report {
        write_report(directory, options, &parts)?;
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n").into()),
    }
}

/// One document with all tables, and its pictures beside it.
fn write_report(directory: &Path, options: &options::Options, parts: &[Part]) -> Outcome<()> {
    fs::create_dir_all(directory)?;
    let latency = parts.iter().find(|part| part.name == "latency");
    let pictures = [
        ("kafka.svg", "How many times better than Apache Kafka", plot::against_kafka(parts)),
        ("ceiling.svg", "Against the bare ceiling", plot::against_ceiling(parts)),
        ("latency.svg", "Latency at fixed rates", latency.and_then(plot::latencies)),
    ];
    let mut text = format!(
        "# What `cargo xtask bench` found\n\n\
         Written by `{}` on {}; congestion control {}. Peers: Apache Kafka {}. A value is a median, with the \
         smallest and largest in brackets; ratios are made round by round. How it is measured: \
         `docs/benchmarks.md`.\n\n",
        options.command,
        figures::machine()?,
        figures::congestion_control()?,
        apache::VERSION,
    );
    for (file, title, svg) in pictures {
        if let Some(svg) = svg {
            fs::write(directory.join(file), svg)?;
            text.push_str(&format!("![{title}]({file})\n\n"));
        }
    }
    for part in parts {
        text.push_str(&part.markdown());
    }
    fs::write(directory.join("report.md"), text.trim_end().to_owned() + "\n")?;
    Ok(())
}
