//! Tansu: a broker that speaks Kafka's protocol, from the crate registry, driven by the load that drives ours.
//! Of what it can keep records in, SQLite needs no other server.

use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use super::{Done, Peer, produce_batches};
use crate::broker::{Broker, free_address};
use crate::downloads::{is_complete, once, succeed};
use crate::load::{Run, fetch_frame, fetched, large, own_cpu_seconds, topics};
use crate::report::Part;
use crate::wire::Connection;
use crate::{Bench, Outcome};

/// Its name in a report.
pub(super) const NAME: &str = "Tansu";
const VERSION: &str = "0.6.0";
/// Of the load of the others: it keeps every record as a row.
const SHARE: u64 = 16;
/// `fetch.max.wait.ms`.
const WAIT_MS: i32 = 500;

struct Tansu {
    broker: Broker,
    _directory: TempDir,
}

/// Builds it unless it is there, and starts it.
pub(super) fn start(bench: &Bench, part: &mut Part) -> Outcome<Box<dyn Peer>> {
    let name = format!("tansu-{VERSION}");
    if bench.scale.is_quick && !is_complete(&name)? {
        return Err("its build takes a quarter of an hour; the full run does it".into());
    }
    let root = once(&name, |directory| {
        let mut install = Command::new("cargo");
        install.args(["install", "--locked", "--version", VERSION, "--root"]).arg(directory);
        install.args(["--no-default-features", "--features", "libsql", "tansu"]);
        let target = directory.join("target");
        succeed(install.env("CARGO_TARGET_DIR", &target))?;
        Ok(std::fs::remove_dir_all(target)?)
    })?;
    let (directory, address) = (tempfile::tempdir()?, free_address()?);
    let mut command = Command::new(root.join("bin/tansu"));
    let listener = format!("tcp://{address}");
    command.args(["broker", "--storage-engine", "sqlite:///tansu.db"]);
    command.args(["--listener-url", &listener, "--advertised-listener-url", &listener]);
    let mut broker = Broker::spawn(command, address, directory.path())?;
    broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
    part.note(format!(
        "{NAME} {VERSION}, which keeps records in SQLite (libsql; write-ahead log, synchronous=normal: committed \
         to the page cache, synced when the log is folded in): the load of Kalda, a {SHARE}th of the bytes a \
         round, which is too little for a control."
    ));
    Ok(Box::new(Tansu { broker, _directory: directory }))
}

impl Peer for Tansu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn broker(&self) -> &Broker {
        &self.broker
    }

    fn has_control(&self) -> bool {
        false
    }

    fn produce(&self, stream: &str, bytes: u64) -> Outcome<Done> {
        topics::create_topic(&mut Connection::open(self.broker.address)?, stream, 1, &[])?;
        produce_batches(&self.broker, stream, bytes / SHARE)
    }

    fn consume(&self, stream: &str, produced: &Done) -> Outcome<Done> {
        let mut connection = Connection::open(self.broker.address)?;
        let mut run = Run::default();
        let mut answer = Vec::new();
        let mut offset = 0;
        let (begun, own_before) = (Instant::now(), own_cpu_seconds());
        // It makes batches of its own of what it keeps, so that bytes do not tell when all is there.
        while offset < produced.records.cast_signed() {
            let frame = fetch_frame(stream, offset, large::FETCH_LEN, WAIT_MS)?;
            connection.send(&frame)?;
            connection.receive_into(&mut answer)?;
            let fetched = fetched(&answer, stream)?;
            let next = fetched.next_offset.filter(|next| *next > offset);
            offset = next.ok_or_else(|| format!("nothing was fetched from offset {offset} on"))?;
            run.bytes += fetched.bytes;
            run.requests += 1;
        }
        run.seconds = begun.elapsed().as_secs_f64();
        run.own_cpu_seconds = own_cpu_seconds() - own_before;
        Ok(Done { records: produced.records, run })
    }

    fn delete(&self, stream: &str) -> Outcome<()> {
        topics::delete_topic(&mut Connection::open(self.broker.address)?, stream)
    }
}
