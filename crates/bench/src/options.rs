//! The command line, and how much each scale measures.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::PARTS;
use crate::rounds::Rounds;

/// What this process is to do.
pub(crate) enum Command {
    Help,
    /// Be the bare ceiling, until killed.
    Ceiling {
        address: SocketAddr,
        directory: PathBuf,
    },
    Measure(Options),
}

/// What is to be measured.
pub(crate) struct Options {
    pub(crate) scale: Scale,
    /// Without Apache Kafka and the other peers.
    pub(crate) is_alone: bool,
    pub(crate) binary: PathBuf,
    /// The parts; all if it is empty.
    pub(crate) only: Vec<String>,
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
    /// Whether a peer may be built for a quarter of an hour, once.
    pub(crate) has_time_to_build: bool,
}

const FULL: Scale = Scale {
    rounds: Rounds { warm_up: 2, counted: 5 },
    touched_bytes: 6 << 30,
    load_bytes: 1 << 30,
    requests: 400_000,
    durable_requests: 40_000,
    has_time_to_build: true,
};

const QUICK: Scale = Scale {
    rounds: Rounds { warm_up: 1, counted: 3 },
    touched_bytes: 1 << 30,
    load_bytes: 256 << 20,
    requests: 60_000,
    durable_requests: 6_000,
    has_time_to_build: false,
};

/// What can be asked for.
pub(crate) fn usage() -> String {
    let parts: Vec<&str> = PARTS.iter().map(|(name, ..)| *name).collect();
    format!(
        "usage: cargo xtask bench [--quick] [--alone] [--only PART,...] [--binary PATH]\n\n  \
         --quick        some minutes: smaller loads, fewer rounds\n  \
         --alone        without Apache Kafka and the other peers\n  \
         --only PART    of {}\n  \
         --binary PATH  another binary than target/release/kalda",
        parts.join(", ")
    )
}

/// Reads the arguments.
pub(crate) fn parse(arguments: &[String]) -> Result<Command, String> {
    if let [command, address, directory] = arguments
        && command == "ceiling"
    {
        let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
        return Ok(Command::Ceiling { address, directory: PathBuf::from(directory) });
    }
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let binary = root.join("target/release/kalda");
    let mut options = Options { scale: FULL, is_alone: false, binary, only: Vec::new(), root };
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
            "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
            unknown => return Err(format!("bench takes no {unknown}")),
        }
    }
    let unknown = options.only.iter().find(|only| PARTS.iter().all(|(name, ..)| name != only));
    match unknown {
        Some(unknown) => Err(format!("there is no part {unknown}")),
        None => Ok(Command::Measure(options)),
    }
}
