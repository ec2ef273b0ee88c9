//! `dump-log`: prints the files of a partition's directory: segments, indexes, snapshots.
//!
//! It only reads, and it reads a running broker's files as well. Lines are those of Kafka's
//! `DumpLogSegments`.

mod group_json;
mod index;
mod metadata_json;
mod segment;
mod snapshot;
mod transaction_json;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use crate::failure::{Blame, Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Parsed, Show};
use crate::output::{Output, complain, stdout};
use crate::tool::Call;

const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.",
    options: &[
        (
            "cluster-metadata-decoder",
            Arg::None,
            "Print the records of the cluster metadata log as JSON.",
            Show::Yes,
        ),
        ("deep-iteration", Arg::None, "Print every record, not only the batches.", Show::Yes),
        (
            "files",
            Arg::Text("file1, file2, ..."),
            "REQUIRED: The files, separated by commas: .log, .checkpoint, .index, .timeindex, .txnindex, .snapshot.",
            Show::Yes,
        ),
        ("index-sanity-check", Arg::None, "Only check whether an index is sound.", Show::Yes),
        (
            "max-bytes",
            Arg::Int("size"),
            "Read no more of a segment than that. (default: 2147483647)",
            Show::Yes,
        ),
        (
            "max-message-size",
            Arg::Int("size"),
            "Accepted; batches are read whole. (default: 5242880)",
            Show::Yes,
        ),
        (
            "offsets-decoder",
            Arg::None,
            "Print the records of __consumer_offsets as JSON.",
            Show::Yes,
        ),
        ("print-data-log", Arg::None, "Print keys and values of records.", Show::Yes),
        (
            "skip-record-metadata",
            Arg::None,
            "Print no more of records than key and value.",
            Show::Yes,
        ),
        (
            "transaction-log-decoder",
            Arg::None,
            "Print the records of __transaction_state as JSON.",
            Show::Yes,
        ),
        (
            "verify-index-only",
            Arg::None,
            "Check an index against its segment without printing it.",
            Show::Yes,
        ),
        ("remote-log-metadata-decoder", Arg::None, "", Show::Old),
        ("share-group-state-decoder", Arg::None, "", Show::Old),
        ("key-decoder-class", Arg::Maybe("class"), "", Show::Old),
        ("value-decoder-class", Arg::Maybe("class"), "", Show::Old),
    ],
};

/// What is printed of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Depth {
    records: bool,
    contents: bool,
    decoder: Decoder,
    skip_record_metadata: bool,
    bytes_max: u64,
}

/// As what contents are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decoder {
    /// Texts.
    Plain,
    /// Records of the cluster metadata log.
    Metadata,
    /// Records of `__consumer_offsets`.
    Offsets,
    /// Records of `__transaction_state`.
    Transactions,
}

/// What is done with an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum IndexMode {
    Print,
    Verify,
    SanityOnly,
}

/// What was found wrong, by file; printed after everything else, as Kafka does.
#[derive(Debug, Default)]
struct Findings {
    index_mismatches: BTreeMap<String, Vec<(i64, i64)>>,
    non_consecutive: BTreeMap<String, Vec<(i64, i64)>>,
    out_of_order_times: BTreeMap<String, Vec<(i64, i64)>>,
}

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["files"])?;
    let (depth, mode) = (depth(&parsed)?, mode(&parsed));
    let mut output = stdout();
    let mut findings = Findings::default();
    for file in parsed.value("files")?.unwrap_or_default().split(',') {
        let file = file.trim();
        writeln!(output, "Dumping {file}")?;
        let dumped = dump(file, depth, mode, &mut output, &mut findings);
        output.flush()?;
        dumped?;
    }
    findings.report();
    Ok(())
}

fn depth(parsed: &Parsed) -> Outcome<Depth> {
    for decoder in ["remote-log-metadata-decoder", "share-group-state-decoder"] {
        if parsed.has(decoder) {
            return Err(Failure::usage(format!(
                "--{decoder} is not there yet; --print-data-log prints the records undecoded"
            )));
        }
    }
    let decoder = if parsed.has("offsets-decoder") {
        Decoder::Offsets
    } else if parsed.has("transaction-log-decoder") {
        Decoder::Transactions
    } else if parsed.has("cluster-metadata-decoder") {
        Decoder::Metadata
    } else {
        Decoder::Plain
    };
    let contents = parsed.has("print-data-log") || decoder != Decoder::Plain;
    let bytes_max: Option<i32> = parsed.number("max-bytes")?;
    Ok(Depth {
        records: parsed.has("deep-iteration") || contents,
        contents,
        decoder,
        skip_record_metadata: parsed.has("skip-record-metadata"),
        bytes_max: bytes_max.and_then(|bytes| bytes.try_into().ok()).unwrap_or(i32::MAX as u64),
    })
}

fn mode(parsed: &Parsed) -> IndexMode {
    if parsed.has("index-sanity-check") {
        IndexMode::SanityOnly
    } else if parsed.has("verify-index-only") {
        IndexMode::Verify
    } else {
        IndexMode::Print
    }
}

fn dump(
    file: &str,
    depth: Depth,
    mode: IndexMode,
    output: &mut Output,
    findings: &mut Findings,
) -> Outcome {
    let path = Path::new(file);
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "log" | "checkpoint" => segment::dump(path, depth, output, findings),
        "index" => index::dump_offsets(path, mode, output, findings),
        "timeindex" => index::dump_times(path, mode, output, findings),
        "txnindex" => snapshot::dump_aborted(path, output),
        "snapshot" => snapshot::dump_producers(path, output),
        _ => {
            output.flush()?;
            complain!("Ignoring unknown file {file}");
            Ok(())
        }
    }
}

/// A small file, whole.
fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    complain!("{} cannot be read: {error}", path.display());
    Failure::Reported(Blame::Usage)
}

/// The offset that a file's name begins with.
fn base_offset(path: &Path) -> Outcome<i64> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.split(['.', '-']).next().unwrap_or_default();
    digits.parse().map_err(|_| {
        Failure::Message(format!("{name} does not begin with an offset, as segments do"))
    })
}

impl Findings {
    fn report(&self) {
        for (file, pairs) in &self.index_mismatches {
            complain!("Mismatches in :{file}");
            for (index, log) in pairs {
                complain!("  Index offset: {index}, log offset: {log}");
            }
        }
        for (file, pairs) in &self.out_of_order_times {
            complain!("Found out of order timestamp in :{file}");
            for (time, before) in pairs {
                complain!("  Index timestamp: {time}, Previously indexed timestamp: {before}");
            }
        }
        for (file, pairs) in &self.non_consecutive {
            complain!("Non-consecutive offsets in {file}");
            for (first, second) in pairs {
                complain!("  {first} is followed by {second}");
            }
        }
    }
}
