//! The command line, and how much each scale measures.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::load::paced::Pace;
use crate::rounds::Rounds;
use crate::{PARTS, cluster, coordinators};

/// What this process is to do.
pub(crate) enum Command {
    Help,
    /// Be the bare ceiling, until killed.
    Ceiling {
        address: SocketAddr,
        directory: PathBuf,
    },
    /// Put one load on a broker that runs already, for whoever profiles it.
    Load(Load),
    Measure(Box<Options>),
}

/// A load on a running broker.
pub(crate) struct Load {
    pub(crate) kind: LoadKind,
    pub(crate) address: SocketAddr,
    pub(crate) topic: String,
    /// Bytes, or requests.
    pub(crate) amount: u64,
}

/// Which load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LoadKind {
    Large,
    Fetch,
    /// Small requests on so many connections.
    Small(usize),
}

/// What is to be measured.
pub(crate) struct Options {
    pub(crate) scale: Scale,
    /// Without Apache Kafka and the other peers.
    pub(crate) is_alone: bool,
    pub(crate) binary: PathBuf,
    /// The parts; all if it is empty.
    pub(crate) only: Vec<String>,
    /// Where the report is written to, if it is.
    pub(crate) report: Option<PathBuf>,
    /// The command line, for the report.
    pub(crate) command: String,
    /// The root of the workspace, from which it is run.
    pub(crate) root: PathBuf,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) rounds: Rounds,
    /// Memory that is used before anything is measured.
    pub(crate) touched_bytes: u64,
    /// Bytes of one round of much data.
    pub(crate) load_bytes: u64,
    /// Small requests of a round.
    pub(crate) requests: u64,
    /// The same, each on disk before its answer.
    pub(crate) durable_requests: u64,
    /// Fetches of a session of many partitions.
    pub(crate) session_fetches: u32,
    pub(crate) starts: usize,
    /// How long a broker is watched while nobody asks for anything.
    pub(crate) idle: Duration,
    pub(crate) partitions: usize,
    /// Connections that are held.
    pub(crate) connections: usize,
    /// How long a fixed rate is kept; the rate is set by the part.
    pub(crate) pace: Pace,
    pub(crate) paced_rounds: Rounds,
    /// Records a second.
    pub(crate) rates: &'static [u32],
    /// Bytes in the logs of a broker that is killed, and how often it is.
    pub(crate) recovered_bytes: u64,
    pub(crate) kills: usize,
    /// Bytes that a reader lags behind by.
    pub(crate) lag_bytes: u64,
    pub(crate) coordinators: coordinators::Scale,
    pub(crate) cluster: cluster::Scale,
    /// Whether there are two minutes, and none to build a peer in.
    pub(crate) is_quick: bool,
}

const FULL: Scale = Scale {
    rounds: Rounds { warm_up: 2, counted: 5 },
    touched_bytes: 6 << 30,
    load_bytes: 1 << 30,
    requests: 400_000,
    durable_requests: 15_000,
    session_fetches: 3_000,
    starts: 10,
    idle: Duration::from_secs(10),
    partitions: 10_000,
    connections: 10_000,
    pace: Pace { rate: 0, time: Duration::from_secs(6), warm_up: Duration::from_secs(2) },
    paced_rounds: Rounds { warm_up: 0, counted: 3 },
    rates: &[100, 1_000, 10_000],
    recovered_bytes: 10 << 30,
    kills: 3,
    lag_bytes: 2 << 30,
    coordinators: coordinators::Scale { transactions: 1_000, commits: 50_000, reloaded: 1_000_000 },
    cluster: cluster::Scale {
        passes: 1,
        kills: 3,
        partitions: 1_000,
        created: 10_000,
        warm_up: Duration::from_secs(40),
        load_bytes: 512 << 20,
        requests: 50_000,
        durable_bytes: 128 << 20,
        durable_requests: 5_000,
        pace: Pace { rate: 1_000, time: Duration::from_secs(12), warm_up: Duration::from_secs(2) },
        loads: 3,
        caught_up_bytes: 512 << 20,
    },
    is_quick: false,
};

const QUICK: Scale = Scale {
    rounds: Rounds { warm_up: 1, counted: 2 },
    touched_bytes: 1 << 30,
    load_bytes: 256 << 20,
    requests: 50_000,
    durable_requests: 1_500,
    session_fetches: 500,
    starts: 2,
    idle: Duration::from_secs(1),
    partitions: 1_000,
    connections: 1_000,
    pace: Pace { rate: 0, time: Duration::from_secs(2), warm_up: Duration::from_millis(500) },
    paced_rounds: Rounds { warm_up: 0, counted: 1 },
    rates: &[10_000],
    recovered_bytes: 512 << 20,
    kills: 1,
    lag_bytes: 256 << 20,
    coordinators: coordinators::Scale { transactions: 200, commits: 10_000, reloaded: 100_000 },
    cluster: cluster::Scale {
        passes: 1,
        kills: 1,
        partitions: 200,
        created: 1_000,
        warm_up: Duration::from_secs(5),
        load_bytes: 64 << 20,
        requests: 5_000,
        durable_bytes: 16 << 20,
        durable_requests: 1_000,
        pace: Pace { rate: 1_000, time: Duration::from_secs(2), warm_up: Duration::from_secs(1) },
        loads: 1,
        caught_up_bytes: 64 << 20,
    },
    is_quick: true,
};

/// What the quick scale measures when nothing is named.
const QUICK_PARTS: [&str; 7] =
    ["machine", "start", "large", "small", "durable", "latency", "recovery"];

/// What can be asked for.
pub(crate) fn usage() -> String {
    let parts: Vec<&str> = PARTS.iter().map(|(name, ..)| *name).collect();
    format!(
        "usage: cargo xtask bench [--quick] [--alone] [--only PART,...] [--binary PATH] [--report DIR]\n\n  \
         --quick        two minutes: smaller loads, fewer rounds, the parts that matter most\n  \
         --alone        without Apache Kafka and the other peers\n  \
         --only PART    of {}\n  \
         --binary PATH  another binary than target/release/kalda\n  \
         --report DIR   writes report.md and its pictures there\n\n\
         kalda-bench load large|fetch|small:CONNECTIONS ADDRESS TOPIC BYTES|REQUESTS\n  \
         puts one load on a topic of a broker that runs, for a profile of it",
        parts.join(", ")
    )
}

fn load(kind: &str, address: &str, topic: &str, amount: &str) -> Result<Load, String> {
    let kind = match kind.split_once(':').unwrap_or((kind, "64")) {
        ("large", _) => LoadKind::Large,
        ("fetch", _) => LoadKind::Fetch,
        ("small", connections) => {
            LoadKind::Small(connections.parse().map_err(|error| format!("{connections}: {error}"))?)
        }
        _ => return Err(format!("there is no load {kind}")),
    };
    let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
    let amount = amount.parse().map_err(|error| format!("{amount}: {error}"))?;
    Ok(Load { kind, address, topic: topic.to_owned(), amount })
}

/// Reads the arguments.
pub(crate) fn parse(arguments: &[String]) -> Result<Command, String> {
    if let [command, address, directory] = arguments
        && command == "ceiling"
    {
        let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
        return Ok(Command::Ceiling { address, directory: PathBuf::from(directory) });
    }
    if let [command, kind, address, topic, amount] = arguments
        && command == "load"
    {
        return load(kind, address, topic, amount).map(Command::Load);
    }
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let binary = root.join("target/release/kalda");
    let command = ["cargo xtask bench"].into_iter().chain(arguments.iter().map(String::as_str));
    let command = command.collect::<Vec<_>>().join(" ");
    let mut options = Options {
        scale: FULL,
        is_alone: false,
        binary,
        only: Vec::new(),
        report: None,
        command,
        root,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} takes a value"));
        match argument.as_str() {
            "--help" => return Ok(Command::Help),
            "--quick" => options.scale = QUICK,
            "--alone" => options.is_alone = true,
            "--binary" => {
                let path = value()?;
                options.binary =
                    std::fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))?;
            }
            "--report" => options.report = Some(PathBuf::from(value()?)),
            "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
            unknown => return Err(format!("bench takes no {unknown}")),
        }
    }
    if options.only.is_empty() && options.scale.is_quick {
        options.only = QUICK_PARTS.map(str::to_owned).to_vec();
    }
    let unknown = options.only.iter().find(|only| PARTS.iter().all(|(name, ..)| name != only));
    match unknown {
        Some(unknown) => Err(format!("there is no part {unknown}")),
        None => Ok(Command::Measure(Box::new(options))),
    }
}
