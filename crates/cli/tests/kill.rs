//! `kill -9` in the middle of a load, again and again on one growing directory: nothing that was
//! acknowledged is lost, nothing is doubled, nothing is half there.
//!
//! `KALDA_KILL_ROUNDS` (50) and `KALDA_KILL_SEED` (the clock) may be set; a failure names both.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test may look at the real clock")]

#[path = "../../server/tests/broker/client.rs"]
mod client;
mod process;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use kalda_protocol::messages::produce::ProduceRequest;

use client::{Batch, Client, batch, produce_request};
use process::{Broker, Numbers, check_logs, pause};

/// Requests that a producer has in flight, as the Java client.
const IN_FLIGHT_MAX: usize = 5;
/// The whole test takes no longer on a slow machine either: the rounds end early then.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Small segments, so that logs roll under the load.
const SETTINGS: [(&str, &str); 1] = [("segment.bytes", "1048576")];

/// One partition under load, through all rounds.
struct Load {
    topic: &'static str,
    index: i32,
    acks: i16,
    /// The producer's id, if it is idempotent.
    producer_id: Option<i64>,
    /// The number of the next batch, which is also its sequence.
    next: i32,
    /// Batches without an answer.
    in_flight: VecDeque<i32>,
    /// Acknowledged: offset to number.
    acknowledged: BTreeMap<i64, i32>,
    /// The log was whole up to this offset when it was looked at last.
    checked: i64,
    numbers: Numbers,
}

impl Load {
    /// What batch `number` holds: it names itself, and its bytes can be checked.
    fn value(&self, number: i32) -> Vec<u8> {
        let mut value = format!("{}-{} {number} ", self.topic, self.index).into_bytes();
        let mut numbers = Numbers(number as u64);
        for _ in 0..numbers.below(800) {
            value.extend(numbers.next().to_le_bytes());
        }
        value
    }

    fn records(&self, number: i32) -> Bytes {
        match self.producer_id {
            Some(id) => Batch::of(id, 0, number).build([self.value(number)]),
            None => batch([self.value(number)]),
        }
    }

    fn request(&self, number: i32) -> ProduceRequest {
        produce_request(self.topic, self.index, self.acks, self.records(number))
    }

    /// Sends until the connection breaks.
    fn run(&mut self, broker: std::net::SocketAddr) {
        let Ok(mut client) = Client::try_connect(broker) else { return };
        loop {
            let depth = 1 + self.numbers.below(IN_FLIGHT_MAX as u64) as usize;
            while self.in_flight.len() < depth {
                // What is not sent whole may have arrived all the same.
                self.in_flight.push_back(self.next);
                self.next += 1;
                let number = self.next - 1;
                if client.send(9, &self.request(number)).is_err() {
                    return;
                }
            }
            let Ok(response) = client.receive::<ProduceRequest>(9) else { return };
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!(answer.error_code, 0, "{}-{}", self.topic, self.index);
            self.on_acknowledged(answer.base_offset);
        }
    }

    fn on_acknowledged(&mut self, offset: i64) {
        let number = self.in_flight.pop_front().unwrap();
        let known = self.acknowledged.insert(offset, number);
        assert_eq!(known, None, "offset {offset} was given twice");
    }

    /// An idempotent producer sends again what it has no answer to; another one gives it up.
    fn resend(&mut self, client: &mut Client) {
        if self.producer_id.is_none() {
            return self.in_flight.clear();
        }
        while let Some(number) = self.in_flight.front() {
            let response = client.call(9, &self.request(*number));
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!(answer.error_code, 0, "batch {number} is there already, or it is next");
            self.on_acknowledged(answer.base_offset);
        }
        // The last ones once more: they are known, and where they were.
        let last: Vec<_> = self.acknowledged.iter().rev().take(IN_FLIGHT_MAX).collect();
        for (offset, number) in last {
            let response = client.call(9, &self.request(*number));
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!((answer.error_code, answer.base_offset), (0, *offset), "{number} again");
        }
    }

    /// From offset `from` on everything acknowledged is there, whole, at its offset, nothing is there
    /// twice, and an idempotent producer's records leave no gap.
    fn check(&mut self, client: &mut Client, from: i64) {
        let name = format!("{}-{}", self.topic, self.index);
        let read = client.read_all(self.topic, self.index, from);
        let mut last = -1;
        for (record, offset) in read.iter().zip(from..) {
            assert_eq!(record.offset, offset, "{name}: no offset is missing");
            let text = String::from_utf8_lossy(&record.value);
            let number: i32 = text.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(record.value == self.value(number), "{name}: {offset} is not whole");
            if let Some(acknowledged) = self.acknowledged.get(&offset) {
                assert_eq!(*acknowledged, number, "{name}: {offset}");
            }
            assert!(number > last, "{name}: {number} after {last}: in order, and once");
            last = number;
            if self.producer_id.is_some() {
                assert_eq!(i64::from(number), offset, "{name}: without a gap");
            }
        }
        let end = from + read.len() as i64;
        let last = self.acknowledged.last_key_value().map_or(-1, |(offset, _)| *offset);
        assert!(last < end, "{name}: {last} was acknowledged, {end} are there");
        self.checked = end;
    }
}

/// Makes topics until the connection breaks; answers those that were acknowledged.
fn make_topics(broker: std::net::SocketAddr, round: u64, made: &mut Vec<String>) {
    let Ok(mut client) = Client::try_connect(broker) else { return };
    for number in 0..3 {
        let name = format!("made-{round}-{number}");
        match client.try_create(&name, 2, &[]) {
            Ok(answer) => assert_eq!(answer.error_code, 0, "{name}"),
            Err(_) => return,
        }
        made.push(name);
    }
}

struct Test {
    home: tempfile::TempDir,
    seed: u64,
    numbers: Numbers,
    loads: Vec<Load>,
    made: Vec<String>,
    kills: u64,
}

impl Drop for Test {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("KALDA_KILL_SEED={} failed after {} kills", self.seed, self.kills);
        }
    }
}

impl Test {
    fn data(&self) -> String {
        // Two directories, so that there are two flushers.
        let dir = |name: &str| self.home.path().join(name).display().to_string();
        format!("{},{}", dir("a"), dir("b"))
    }

    fn output(&self) -> PathBuf {
        self.home.path().join("output")
    }

    fn start(&self) -> Broker {
        Broker::start(&self.data(), &self.output(), &[])
    }

    fn set_up(&mut self) {
        let broker = self.start();
        let mut client = broker.client();
        for (topic, acks, is_idempotent) in
            [("idempotent", -1, true), ("all", -1, false), ("leader", 1, false)]
        {
            client.create(topic, 2, &SETTINGS);
            for index in 0..2 {
                self.loads.push(Load {
                    topic,
                    index,
                    acks,
                    producer_id: is_idempotent.then(|| client.producer_id()),
                    next: 0,
                    in_flight: VecDeque::new(),
                    acknowledged: BTreeMap::new(),
                    checked: 0,
                    numbers: Numbers(self.numbers.next()),
                });
            }
        }
        drop(client);
        self.kill(broker);
    }

    fn kill(&mut self, broker: Broker) {
        let ended = broker.kill();
        self.kills += 1;
        assert_eq!(ended.errors(), Vec::<&str>::new());
        assert!(!ended.output.contains("panicked"), "{}", ended.output);
    }

    fn round(&mut self, round: u64) {
        if self.numbers.below(5) == 0 {
            // Killed while it comes up.
            let broker = Broker::spawn(&self.data(), &self.output(), &[]);
            pause(Duration::from_millis(self.numbers.below(150)));
            self.kill(broker);
        }
        let broker = self.start();
        let mut client = broker.client();
        for load in &mut self.loads {
            load.resend(&mut client);
            let from = if round.is_multiple_of(10) { 0 } else { load.checked };
            load.check(&mut client, from);
        }
        for name in &self.made {
            let topic = client.describe(name);
            assert_eq!((topic.error_code, topic.partitions.len()), (0, 2), "{name}");
        }
        drop(client);
        let time = Duration::from_millis(30 + self.numbers.below(400));
        let address = broker.address;
        let (loads, made) = (&mut self.loads, &mut self.made);
        let killed = std::thread::scope(|scope| {
            for load in loads {
                scope.spawn(|| load.run(address));
            }
            scope.spawn(move || make_topics(address, round, made));
            pause(time);
            broker.kill()
        });
        self.kills += 1;
        assert_eq!(killed.errors(), Vec::<&str>::new());
        assert!(!killed.output.contains("panicked"), "{}", killed.output);
    }

    /// One more start, a clean stop, and a look at every byte.
    fn finish(&mut self) -> usize {
        let broker = self.start();
        let mut client = broker.client();
        for load in &mut self.loads {
            load.resend(&mut client);
            load.check(&mut client, 0);
        }
        drop(client);
        let ended = broker.stop();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.errors(), Vec::<&str>::new());
        check_logs(self.home.path())
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

fn has_quarantine(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            has_quarantine(&path)
        } else {
            path.extension().is_some_and(|extension| extension == "quarantine")
        }
    })
}

#[test]
fn fifty_kills_lose_nothing_that_was_acknowledged() {
    let start = Instant::now();
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = from_environment("KALDA_KILL_SEED").unwrap_or(clock.as_nanos() as u64);
    let rounds = from_environment("KALDA_KILL_ROUNDS");
    let home = tempfile::tempdir().unwrap();
    let (loads, made) = (Vec::new(), Vec::new());
    let mut test = Test { home, seed, numbers: Numbers(seed), loads, made, kills: 0 };
    test.set_up();
    for round in 0..rounds.unwrap_or(50) {
        test.round(round);
        // Who asked for a number of rounds gets them.
        if rounds.is_none() && start.elapsed() > TIME_MAX {
            break;
        }
    }
    let batches = test.finish();
    let acknowledged: usize = test.loads.iter().map(|load| load.acknowledged.len()).sum();
    assert!(batches > acknowledged);
    assert!(!has_quarantine(test.home.path()), "a kill damages nothing");
    println!(
        "seed {seed}: {} kills, {acknowledged} batches acknowledged, {} topics made, {batches} batches on disk, {:?}",
        test.kills,
        test.made.len(),
        start.elapsed()
    );
}
