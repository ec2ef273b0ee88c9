//! RabbitMQ streams: the server from Debian's packages, unpacked and not installed, driven by the binary
//! protocol of its stream plugin.
//!
//! Its own generator, `stream-perf-test`, is not used: it is not on Maven Central. Its bounds are taken over.

mod protocol;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::{Done, Peer, RECORD_LEN, value};
use crate::broker::{Broker, free_address};
use crate::downloads::{once, succeed};
use crate::load::{Run, own_cpu_seconds};
use crate::report::Part;
use crate::{Bench, Outcome};
use protocol::Client;

/// Its name in a report.
pub(super) const NAME: &str = "RabbitMQ streams";
const DIRECTORY: &str = "rabbitmq-server-3.10.8";
/// What of Debian 12 is unpacked. The minor updates of a stable release are taken as they come.
const PACKAGES: &[&str] = &[
    "rabbitmq-server",
    "erlang-base",
    "erlang-asn1",
    "erlang-crypto",
    "erlang-eldap",
    "erlang-ftp",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-snmp",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-tftp",
    "erlang-tools",
    "erlang-xmerl",
];
const ERLANG: &str = "usr/lib/erlang";
const SERVER: &str = "usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server";
/// Messages of one publish.
const TOGETHER: u64 = 100;
/// Messages that are not confirmed yet.
const UNDER_WAY: u64 = 10_000;
/// Chunks that a consumer is sent before it asks for more.
const CREDIT: u16 = 10;

struct RabbitMq {
    broker: Broker,
    _names: Names,
    _directory: TempDir,
}

/// Erlang's daemon of names, without which no node starts. Dropping it kills it.
struct Names(Child);

impl Drop for Names {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Unpacks the server unless that is done, and starts it.
pub(super) fn start(_: &Bench, part: &mut Part) -> Outcome<Box<dyn Peer>> {
    let root = once(DIRECTORY, unpack)?;
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    let [stream, amqp, names, nodes] =
        [free_address()?, free_address()?, free_address()?, free_address()?];
    fs::write(path.join("plugins"), "[rabbitmq_stream].\n")?;
    let config = format!("listeners.tcp.1 = {amqp}\nstream.listeners.tcp.1 = {stream}\n");
    fs::write(path.join("rabbitmq.conf"), config)?;
    let names_port = names.port().to_string();
    let erlang = root.join(ERLANG);
    let daemon = Command::new(erlang.join("bin/epmd"))
        .args(["-address", "127.0.0.1", "-port", &names_port])
        .stdin(Stdio::null())
        .spawn()?;
    let daemon = Names(daemon);
    let mut command = Command::new(root.join(SERVER));
    let search = std::env::var("PATH").unwrap_or_default();
    command
        // With this, the script becomes the server; without the other, it would read the standard input.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .arg("-noinput")
        .env("PATH", format!("{}:{search}", erlang.join("bin").display()))
        .env("HOME", path)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", names_port)
        .env("RABBITMQ_DIST_PORT", nodes.port().to_string())
        .env("RABBITMQ_NODENAME", "rabbit@localhost")
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_LOG_BASE", path.join("log"))
        .env("RABBITMQ_MNESIA_BASE", path.join("mnesia"))
        .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("plugins"));
    let mut broker = Broker::spawn(command, stream, path)?;
    broker.await_listening()?;
    part.note(format!(
        "{NAME} 3.10.8 on Erlang 25: one stream of one copy, confirmed from the page cache (a stream is never \
         synced by itself); {TOGETHER} messages a publish, {UNDER_WAY} under way, and read with a credit of \
         {CREDIT} chunks. Driven by its stream protocol."
    ));
    Ok(Box::new(RabbitMq { broker, _names: daemon, _directory: directory }))
}

fn unpack(directory: &Path) -> Outcome<()> {
    let packages = directory.join("packages");
    fs::create_dir_all(&packages)?;
    succeed(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(&packages))?;
    for package in fs::read_dir(&packages)? {
        succeed(Command::new("dpkg").arg("-x").arg(package?.path()).arg(directory))?;
    }
    // It holds the place where it would have been installed.
    let script = directory.join(ERLANG).join("bin/erl");
    let text = fs::read_to_string(&script)?;
    let here = format!("ROOTDIR={}/{ERLANG}\n", directory.display());
    fs::write(&script, text.replace(&format!("ROOTDIR=/{ERLANG}\n"), &here))?;
    Ok(())
}

impl Peer for RabbitMq {
    fn name(&self) -> &'static str {
        NAME
    }

    fn broker(&self) -> &Broker {
        &self.broker
    }

    fn produce(&self, stream: &str, bytes: u64) -> Outcome<Done> {
        let mut client = Client::open(self.broker.address)?;
        client.create(stream)?;
        client.declare_publisher(stream)?;
        let mut publish = client.publish_frame(&value(), TOGETHER)?;
        let records = bytes.div_ceil(RECORD_LEN as u64 * TOGETHER) * TOGETHER;
        let (begun, own_before) = (Instant::now(), own_cpu_seconds());
        let (mut sent, mut confirmed) = (0, 0);
        while confirmed < records {
            if sent < records && sent + TOGETHER <= confirmed + UNDER_WAY {
                publish.number_from(sent);
                client.send(publish.bytes())?;
                sent += TOGETHER;
                continue;
            }
            confirmed += client.confirmed()?;
        }
        Ok(done(records, publish.bytes().len() as u64 * records / TOGETHER, begun, own_before))
    }

    fn consume(&self, stream: &str, produced: &Done) -> Outcome<Done> {
        let mut client = Client::open(self.broker.address)?;
        let (begun, own_before) = (Instant::now(), own_cpu_seconds());
        client.subscribe(stream, CREDIT)?;
        let (mut records, mut bytes) = (0, 0);
        while records < produced.records {
            let chunk = client.delivered()?;
            client.give_credit(1)?;
            records += chunk.records;
            bytes += chunk.bytes;
        }
        Ok(done(records, bytes, begun, own_before))
    }

    fn delete(&self, stream: &str) -> Outcome<()> {
        Client::open(self.broker.address)?.delete(stream)
    }
}

fn done(records: u64, bytes: u64, begun: Instant, own_before: f64) -> Done {
    let run = Run {
        bytes,
        requests: records,
        seconds: begun.elapsed().as_secs_f64(),
        own_cpu_seconds: own_cpu_seconds() - own_before,
        latencies_ms: Vec::new(),
    };
    Done { records, run }
}
