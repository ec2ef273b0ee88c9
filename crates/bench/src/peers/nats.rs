//! NATS JetStream: built from the Go module proxy, driven by its text protocol as the server documents it.
//!
//! Its own generator, `nats bench`, is not used: the checksum database does not answer for its module, and
//! what cannot be verified is not built.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Done, Peer, RECORD_LEN, value};
use crate::broker::{Broker, free_address};
use crate::downloads::{once, succeed};
use crate::load::{Run, own_cpu_seconds};
use crate::report::Part;
use crate::{Bench, Outcome};

/// Its name in a report.
pub(super) const NAME: &str = "NATS JetStream";
const MODULE: &str = "github.com/nats-io/nats-server/v2";
const VERSION: &str = "v2.15.2";
/// Messages that are not acknowledged yet.
const UNDER_WAY: u64 = 500;
/// Messages of one write to the socket.
const TOGETHER: u64 = 50;
/// Messages of one pull, two of which are under way.
const PULL: u64 = 500;
const PATIENCE: Duration = Duration::from_secs(120);
/// What the server answers to a request or a publish.
const ANSWERS: &str = "_INBOX.answers";
/// What it sends after a pull.
const PULLED: &str = "_INBOX.pulled";
const CONSUMER: &str = "reader";
const LINE_LEN_MAX: u64 = 64 << 10;
const PAYLOAD_LEN_MAX: usize = 1 << 20;

struct Nats {
    broker: Broker,
    _directory: TempDir,
}

/// Builds the server unless it is there, and starts it.
pub(super) fn start(_: &Bench, part: &mut Part) -> Outcome<Box<dyn Peer>> {
    let tools = once(&format!("nats-server-{VERSION}"), |directory| {
        let mut install = Command::new("go");
        install.arg("install").arg(format!("{MODULE}@{VERSION}")).env("GOBIN", directory);
        succeed(&mut install).map(drop)
    })?;
    let (directory, address) = (tempfile::tempdir()?, free_address()?);
    let mut command = Command::new(tools.join("nats-server"));
    command.args([
        "-a",
        &address.ip().to_string(),
        "-p",
        &address.port().to_string(),
        "-js",
        "-sd",
    ]);
    command.arg(directory.path());
    let mut broker = Broker::spawn(command, address, directory.path())?;
    broker.await_listening()?;
    part.note(format!(
        "{NAME} {VERSION}: a stream with file storage and one replica, acknowledged from the page cache (synced \
         every 2 minutes, its default); every message is published and acknowledged by itself, {UNDER_WAY} under \
         way, and read by pulls of {PULL} without acknowledgement. Driven by its text protocol; its batched publishing is not used."
    ));
    Ok(Box::new(Nats { broker, _directory: directory }))
}

impl Peer for Nats {
    fn name(&self) -> &'static str {
        NAME
    }

    fn broker(&self) -> &Broker {
        &self.broker
    }

    fn produce(&self, stream: &str, bytes: u64) -> Outcome<Done> {
        let mut client = Client::open(self.broker.address)?;
        client.ask(
            &format!("$JS.API.STREAM.CREATE.{stream}"),
            &format!(
                "{{\"name\":\"{stream}\",\"subjects\":[\"{stream}\"],\"retention\":\"limits\",\
                 \"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":0,\
                 \"max_msgs_per_subject\":-1,\"discard\":\"old\",\"storage\":\"file\",\
                 \"num_replicas\":1,\"compression\":\"none\"}}"
            ),
        )?;
        let mut message = format!("PUB {stream} {ANSWERS} {RECORD_LEN}\r\n").into_bytes();
        message.extend(value());
        message.extend(b"\r\n");
        let message_len = message.len();
        let messages = message.repeat(TOGETHER as usize);
        let records = bytes.div_ceil(RECORD_LEN as u64);
        let (begun, own_before) = (Instant::now(), own_cpu_seconds());
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < records {
            let next = TOGETHER.min(records - sent);
            if next > 0 && sent + next <= acknowledged + UNDER_WAY {
                client.send(&messages[..message_len * next as usize])?;
                sent += next;
                continue;
            }
            client.answer()?;
            acknowledged += 1;
        }
        Ok(done(records, message_len, begun, own_before))
    }

    fn consume(&self, stream: &str, produced: &Done) -> Outcome<Done> {
        let mut client = Client::open(self.broker.address)?;
        client.send(format!("SUB {PULLED} 2\r\n").as_bytes())?;
        client.ask(
            &format!("$JS.API.CONSUMER.CREATE.{stream}.{CONSUMER}"),
            &format!(
                "{{\"stream_name\":\"{stream}\",\"config\":{{\"name\":\"{CONSUMER}\",\
                 \"deliver_policy\":\"all\",\"ack_policy\":\"none\",\"replay_policy\":\"instant\",\
                 \"mem_storage\":true}}}}"
            ),
        )?;
        let request = format!("{{\"batch\":{PULL},\"expires\":{}}}", PATIENCE.as_nanos());
        let pull = format!(
            "PUB $JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER} {PULLED} {}\r\n{request}\r\n",
            request.len()
        );
        let (begun, own_before) = (Instant::now(), own_cpu_seconds());
        let mut pulls = VecDeque::new();
        let mut received = 0;
        let mut wire_len = 0;
        while received < produced.records {
            while pulls.len() < 2 {
                client.send(pull.as_bytes())?;
                pulls.push_back(PULL);
            }
            wire_len = client.pulled()?;
            received += 1;
            match pulls.front_mut() {
                Some(1) | None => drop(pulls.pop_front()),
                Some(left) => *left -= 1,
            }
        }
        Ok(done(received, wire_len, begun, own_before))
    }

    fn delete(&self, stream: &str) -> Outcome<()> {
        Client::open(self.broker.address)?.ask(&format!("$JS.API.STREAM.DELETE.{stream}"), "")
    }
}

fn done(records: u64, wire_len: usize, begun: Instant, own_before: f64) -> Done {
    let run = Run {
        bytes: records * wire_len as u64,
        requests: records,
        seconds: begun.elapsed().as_secs_f64(),
        own_cpu_seconds: own_cpu_seconds() - own_before,
        latencies_ms: Vec::new(),
    };
    Done { records, run }
}

/// A connection that has subscribed to its answers.
struct Client {
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
    payload: Vec<u8>,
}

/// The head of what the server sends.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    /// A message of a subscription, and how long it is. One with headers only tells a status here.
    Message {
        subscription: u8,
        len: usize,
        has_headers: bool,
    },
    Ping,
    /// It asks for nothing.
    Other,
}

impl Client {
    fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let reader = BufReader::with_capacity(256 << 10, stream);
        let mut client = Self { reader, line: Vec::new(), payload: Vec::new() };
        let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\
                       \"no_responders\":true,\"lang\":\"bench\",\"version\":\"1\"}\r\n";
        client.send(format!("{connect}SUB {ANSWERS} 1\r\n").as_bytes())?;
        Ok(client)
    }

    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        Ok(self.reader.get_mut().write_all(bytes)?)
    }

    /// A request of the JetStream API, which must succeed.
    fn ask(&mut self, subject: &str, request: &str) -> Outcome<()> {
        self.send(
            format!("PUB {subject} {ANSWERS} {}\r\n{request}\r\n", request.len()).as_bytes(),
        )?;
        self.answer()
    }

    /// Waits for the next answer, which must be a good one.
    fn answer(&mut self) -> Outcome<()> {
        let (subscription, has_headers) = self.message()?;
        let is_good = subscription == 1 && !has_headers && is_good(&self.payload);
        if is_good { Ok(()) } else { Err(self.surprise()) }
    }

    /// Waits for the next message that was pulled. Answers how long it was.
    fn pulled(&mut self) -> Outcome<usize> {
        let (subscription, has_headers) = self.message()?;
        let is_good = subscription == 2 && !has_headers;
        if is_good { Ok(self.line.len() + self.payload.len()) } else { Err(self.surprise()) }
    }

    fn surprise(&self) -> Box<dyn std::error::Error> {
        let (line, payload) =
            (String::from_utf8_lossy(&self.line), String::from_utf8_lossy(&self.payload));
        format!("the server sent {line}{}", payload.trim()).into()
    }

    /// Reads one message into `payload`, with the end of its line.
    fn message(&mut self) -> Outcome<(u8, bool)> {
        loop {
            self.line.clear();
            let mut limited = (&mut self.reader).take(LINE_LEN_MAX);
            if limited.read_until(b'\n', &mut self.line)? == 0 {
                return Err("the server closed the connection".into());
            }
            match head(&self.line).ok_or_else(|| self.surprise())? {
                Head::Message { subscription, len, has_headers } => {
                    self.payload.resize(len + 2, 0);
                    self.reader.read_exact(&mut self.payload)?;
                    return Ok((subscription, has_headers));
                }
                Head::Ping => self.send(b"PONG\r\n")?,
                Head::Other => {}
            }
        }
    }
}

/// `None` for an error, and for what this client does not know.
fn head(line: &[u8]) -> Option<Head> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let has_headers = match words.next()? {
        "MSG" => false,
        "HMSG" => true,
        "PING" => return Some(Head::Ping),
        "INFO" | "PONG" | "+OK" => return Some(Head::Other),
        _ => return None,
    };
    let subscription = words.nth(1)?.parse().ok()?;
    let len = words.last()?.parse().ok().filter(|len| *len <= PAYLOAD_LEN_MAX)?;
    Some(Head::Message { subscription, len, has_headers })
}

fn is_good(answer: &[u8]) -> bool {
    let error = b"\"error\"";
    answer.starts_with(b"{") && !answer.windows(error.len()).any(|window| window == error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let message =
            |subscription, len, has_headers| Some(Head::Message { subscription, len, has_headers });
        assert_eq!(head(b"MSG _INBOX.answers 1 30\r\n"), message(1, 30, false));
        assert_eq!(head(b"MSG stream 2 $JS.ACK.s.c.1.1.1.17.0 1024\r\n"), message(2, 1024, false));
        assert_eq!(head(b"HMSG _INBOX.pulled 2 28 28\r\n"), message(2, 28, true));
        assert_eq!(head(b"PING\r\n"), Some(Head::Ping));
        assert_eq!(head(b"-ERR 'Authorization Violation'\r\n"), None);
        assert_eq!(head(b"MSG _INBOX.answers 1 99999999\r\n"), None);
    }

    #[test]
    fn answers() {
        assert!(is_good(b"{\"stream\":\"s\", \"seq\":7}\r\n"));
        assert!(!is_good(b"{\"error\":{\"code\":503}}\r\n"));
        assert!(!is_good(b"\r\n"));
    }
}
