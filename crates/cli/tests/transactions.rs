//! `kill -9` of the broker in the middle of transactions, again and again on one growing directory,
//! and of their producers too: a transaction is seen as a whole or not at all, and once.
//!
//! Two producers move numbered records, a third process copies them with its offsets in the same
//! transaction, a fourth commits offsets alone, while the offsets and the transaction log are
//! compacted all the time. Some of them outlive the broker and go on, some die with it and come
//! back. After each restart everything is looked at from outside.
//!
//! `KALDA_KILL_ROUNDS` (as many as fit into half a minute) and `KALDA_KILL_SEED` (the clock) may be
//! set; a failure names both.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test may look at the real clock")]

#[path = "../../server/tests/broker/client.rs"]
mod client;
#[path = "transactions/copier.rs"]
mod copier;
#[path = "transactions/member.rs"]
mod member;
#[path = "transactions/mover.rs"]
mod mover;
mod process;
#[path = "transactions/reader.rs"]
mod reader;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use kalda_client::admin::{AlterOp, ConfigChange, ConfigResource, NewTopic};
use kalda_client::{Client, CommittedOffset, ConsumerGroupMetadata, Record, Seek};
use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use copier::Copier;
use member::Member;
use mover::{Fate, Mover};
use process::{Broker, Numbers, check_logs, free_port, pause};
use reader::{Seen, committed, ends, partitions, read_committed};

/// The rounds end after it, unless a number of them was asked for.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Longer than a round takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Few shards, so that each is busy; a cleaner and a look at timeouts that do not rest.
const SETTINGS: [(&str, &str); 6] = [
    ("group.initial.rebalance.delay.ms", "0"),
    ("offsets.topic.num.partitions", "2"),
    ("transaction.state.log.num.partitions", "2"),
    ("log.cleaner.backoff.ms", "20"),
    ("log.retention.check.interval.ms", "100"),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200"),
];
/// Segments roll all the time, and are compacted as soon as they have.
const COMPACTED: [(&str, &str); 3] =
    [("segment.bytes", "1048576"), ("segment.ms", "200"), ("min.cleanable.dirty.ratio", "0.01")];

/// Where a round stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    Killed,
    /// The broker is back: end what is begun.
    Over,
}

/// Who works at the broker.
struct Workers {
    movers: [Mover; 2],
    copier: Copier,
    member: Member,
}

/// Which of them die with the broker.
#[derive(Clone, Copy, Debug)]
struct Mortals {
    movers: [bool; 2],
    copier: bool,
    member: bool,
}

/// Works until the round is over, or dies with the broker. Returns whether it lives.
async fn work(
    mut phase: watch::Receiver<Phase>,
    is_mortal: bool,
    steps: impl AsyncFnOnce(watch::Receiver<Phase>),
) -> bool {
    let watched = phase.clone();
    tokio::select! {
        biased;
        _ = phase.wait_for(|phase| *phase != Phase::Running), if is_mortal => false,
        () = steps(watched) => true,
    }
}

fn is_over(phase: &watch::Receiver<Phase>) -> bool {
    *phase.borrow() == Phase::Over
}

impl Workers {
    async fn round(&mut self, phase: &watch::Receiver<Phase>, mortals: Mortals) {
        let [one, two] = &mut self.movers;
        let moving = async |mover: &mut Mover, is_mortal| {
            let lives = work(phase.clone(), is_mortal, async |phase| {
                while !is_over(&phase) {
                    mover.transaction().await;
                }
            });
            if !lives.await {
                mover.producer = None;
            }
        };
        let copying = async |copier: &mut Copier| {
            let lives = work(phase.clone(), mortals.copier, async |phase| {
                while !is_over(&phase) {
                    copier.transaction().await;
                }
            });
            if !lives.await {
                copier.process = None;
            }
        };
        let reading = async |member: &mut Member| {
            let lives = work(phase.clone(), mortals.member, async |phase| {
                while !is_over(&phase) {
                    member.step().await;
                }
            });
            if !lives.await {
                member.consumer = None;
            }
        };
        let all = async {
            tokio::join!(
                moving(one, mortals.movers[0]),
                moving(two, mortals.movers[1]),
                copying(&mut self.copier),
                reading(&mut self.member),
            )
        };
        timeout(PATIENCE, all).await.expect("they go on when the broker is back");
    }

    async fn revive(&mut self, address: SocketAddr) {
        let client = |settings: &[(&str, &str)]| client_of(address, settings);
        for mover in &mut self.movers {
            mover.revive(client).await;
        }
        self.copier.revive(client).await;
        self.member.revive(client);
    }
}

/// A client that does not wait long before it tries again.
fn client_of(address: SocketAddr, settings: &[(&str, &str)]) -> Client {
    let mut builder = Client::builder(&address.to_string());
    for (key, value) in [("reconnect.backoff.max.ms", "50"), ("retry.backoff.max.ms", "100")] {
        builder = builder.set(key, value);
    }
    for (key, value) in settings {
        builder = builder.set(key, value);
    }
    builder.build().unwrap()
}

struct Test {
    home: tempfile::TempDir,
    seed: u64,
    numbers: Numbers,
    port: u16,
    runtime: Runtime,
    broker: Option<Broker>,
    workers: Workers,
    /// What was seen of `numbers`, and up to where.
    seen: Seen,
    read_to: BTreeMap<TopicPartition, i64>,
    /// What the groups had committed when they were looked at last.
    committed: BTreeMap<(&'static str, TopicPartition), i64>,
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
    fn new(seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let workers = Workers {
            movers: [Mover::new("one", numbers.next()), Mover::new("two", numbers.next())],
            copier: Copier::new(numbers.next()),
            member: Member::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self {
            home: tempfile::tempdir().unwrap(),
            seed,
            numbers,
            port: free_port(),
            runtime: runtime.unwrap(),
            broker: None,
            workers,
            seen: Seen::new(),
            read_to: BTreeMap::new(),
            committed: BTreeMap::new(),
            kills: 0,
        }
    }

    fn address(&self) -> SocketAddr {
        self.broker.as_ref().expect("it runs").address
    }

    fn dirs(&self) -> [PathBuf; 2] {
        ["a", "b"].map(|name| self.home.path().join(name))
    }

    /// The same address in every life, so that clients find it again.
    fn spawn(&self) -> Broker {
        let dirs = self.dirs().map(|dir| dir.display().to_string()).join(",");
        Broker::spawn_at(self.port, &dirs, &self.home.path().join("output"), &SETTINGS)
    }

    fn start(&mut self) {
        let mut broker = self.spawn();
        broker.wait_until_ready();
        self.broker = Some(broker);
    }

    fn kill(&mut self, broker: Broker) {
        let ended = broker.kill();
        self.kills += 1;
        assert_eq!(ended.errors(), Vec::<&str>::new());
        assert!(!ended.output.contains("panicked"), "{}", ended.output);
    }

    fn kill_running(&mut self) {
        let broker = self.broker.take().expect("it runs");
        self.kill(broker);
    }

    fn set_up(&mut self) {
        self.start();
        let address = self.address();
        let admin = client_of(address, &[]).admin();
        let workers = &mut self.workers;
        self.runtime.block_on(async {
            for name in [mover::TOPIC, copier::TOPIC] {
                let partitions = Some(mover::PARTITIONS);
                let topic = NewTopic { name: name.to_owned(), partitions, ..NewTopic::default() };
                admin.create_topic(&topic, false).await.unwrap();
            }
            workers.revive(address).await;
            // The first look for a group makes the topic of the offsets.
            while workers.member.commits == 0 {
                workers.movers[0].transaction().await;
                workers.member.step().await;
            }
            let changes = COMPACTED.map(|(name, value)| ConfigChange {
                name: name.to_owned(),
                op: AlterOp::Set,
                value: Some(value.to_owned()),
            });
            for topic in ["__consumer_offsets", "__transaction_state"] {
                let resource = ConfigResource::topic(topic);
                admin.alter_configs(&resource, &changes).await.unwrap();
            }
        });
    }

    fn draw_mortals(&mut self) -> Mortals {
        let mut dies = || self.numbers.below(3) == 0;
        Mortals { movers: [dies(), dies()], copier: dies(), member: dies() }
    }

    /// Work, a kill in the midst of it, a start, and a look at everything.
    fn round(&mut self, round: u64) {
        let mortals = self.draw_mortals();
        let before = Duration::from_millis(20 + self.numbers.below(500));
        let after = Duration::from_millis(self.numbers.below(100));
        let dies_young = (self.numbers.below(5) == 0).then(|| self.numbers.below(150));
        let (phase, watched) = watch::channel(Phase::Running);
        let broker = self.broker.take().expect("it runs");
        let (dirs, output) = (self.dirs(), self.home.path().join("output"));
        let dirs = dirs.map(|dir| dir.display().to_string()).join(",");
        let (port, runtime, workers) = (self.port, &self.runtime, &mut self.workers);
        let (ended, broker) = std::thread::scope(|scope| {
            let control = scope.spawn(move || {
                pause(before);
                let mut ended = vec![broker.kill()];
                phase.send_replace(Phase::Killed);
                if let Some(millis) = dies_young {
                    // Once more, while it comes up.
                    let broker = Broker::spawn_at(port, &dirs, &output, &SETTINGS);
                    pause(Duration::from_millis(millis));
                    ended.push(broker.kill());
                }
                let mut broker = Broker::spawn_at(port, &dirs, &output, &SETTINGS);
                broker.wait_until_ready();
                pause(after);
                phase.send_replace(Phase::Over);
                (ended, broker)
            });
            runtime.block_on(workers.round(&watched, mortals));
            control.join().unwrap()
        });
        self.broker = Some(broker);
        for ended in ended {
            self.kills += 1;
            assert_eq!(ended.errors(), Vec::<&str>::new());
            assert!(!ended.output.contains("panicked"), "{}", ended.output);
        }
        let address = self.address();
        self.runtime.block_on(self.workers.revive(address));
        self.check(round.is_multiple_of(10));
    }

    /// All producers rest, and what the dead ones left behind is aborted: now everything is decided.
    fn check(&mut self, from_the_start: bool) {
        let client = client_of(self.address(), &[("isolation.level", "read_committed")]);
        self.check_numbers(&client, from_the_start);
        self.check_copies(&client);
        self.check_member();
    }

    /// Every transaction is there as a whole and once, or not at all, as its producer was told.
    fn check_numbers(&mut self, client: &Client, from_the_start: bool) {
        let new = self.runtime.block_on(read_committed(client, mover::TOPIC, &mut self.read_to));
        self.seen.extend(new);
        if from_the_start {
            let mut start = BTreeMap::new();
            let all = self.runtime.block_on(read_committed(client, mover::TOPIC, &mut start));
            assert_eq!(all, self.seen, "what was seen stays as it was");
        }
        let mut times: BTreeMap<&str, u64> = BTreeMap::new();
        for value in self.seen.values() {
            *times.entry(value).or_default() += 1;
        }
        for mover in &mut self.workers.movers {
            for (number, written) in &mut mover.book {
                let values = &written.values;
                let seen: u64 = values.iter().filter_map(|value| times.remove(&**value)).sum();
                let all = values.len() as u64;
                let name = format!("transaction {number} of {}", mover.transactional_id);
                match written.fate {
                    Fate::Committed => assert_eq!(seen, all, "{name} was committed"),
                    Fate::Aborted => assert_eq!(seen, 0, "{name} was aborted"),
                    Fate::InDoubt => assert!(seen == 0 || seen == all, "{name}: {seen} of {all}"),
                }
                written.fate = if seen == 0 { Fate::Aborted } else { Fate::Committed };
            }
        }
        assert!(times.is_empty(), "nobody wrote these: {times:?}");
    }

    /// What is copied is what is below the committed offsets: nothing twice, nothing left out.
    fn check_copies(&mut self, client: &Client) {
        let mut raw = client::Client::connect(self.address());
        let offsets = committed(&mut raw, copier::GROUP, mover::TOPIC);
        self.check_forward(copier::GROUP, &offsets);
        let mut start = BTreeMap::new();
        let copies = self.runtime.block_on(read_committed(client, copier::TOPIC, &mut start));
        for partition in partitions(mover::TOPIC) {
            let index = partition.partition;
            let end = offsets.get(&partition).copied().unwrap_or(0);
            let read = self.seen.range((index, 0)..(index, end)).map(|(_, value)| value);
            let written = copies.range((index, 0)..(index + 1, 0)).map(|(_, value)| value);
            let (read, written): (Vec<_>, Vec<_>) = (read.collect(), written.collect());
            assert_eq!(written, read, "{partition} is copied up to {end}");
        }
    }

    /// No commit that was acknowledged is lost.
    fn check_member(&mut self) {
        let mut raw = client::Client::connect(self.address());
        let offsets = committed(&mut raw, member::GROUP, mover::TOPIC);
        self.check_forward(member::GROUP, &offsets);
        for (partition, acknowledged) in &self.workers.member.acknowledged {
            let found = offsets.get(partition).copied().unwrap_or(-1);
            assert!(found >= *acknowledged, "{partition}: {acknowledged} became {found}");
        }
    }

    /// Committed offsets never move back.
    fn check_forward(&mut self, group: &'static str, offsets: &BTreeMap<TopicPartition, i64>) {
        for (partition, offset) in offsets {
            let before = self.committed.insert((group, partition.clone()), *offset).unwrap_or(0);
            assert!(*offset >= before, "{group}: {partition} went from {before} to {offset}");
        }
        let known = self.committed.keys().filter(|(of, _)| *of == group).count();
        assert_eq!(known, offsets.len(), "{group}: no partition is forgotten");
    }

    /// A producer dies and never comes back, and so does the broker for a while: the time that the
    /// producer was given ends the transaction.
    fn abandon(&mut self) {
        let address = self.address();
        let settings = [("transactional.id", "abandoned"), ("transaction.timeout.ms", "1500")];
        let client = client_of(address, &settings);
        let (before, after) = self.runtime.block_on(async {
            let before = ends(&client, mover::TOPIC).await;
            let producer = client.producer().unwrap();
            producer.init_transactions().await.unwrap();
            producer.begin_transaction().unwrap();
            for partition in 0..mover::PARTITIONS {
                let record = Record { partition: Some(partition), ..Record::to(mover::TOPIC) };
                let sent = producer.send(record.value("abandoned")).await.unwrap();
                producer.flush().await;
                sent.await.unwrap();
            }
            (before, ends(&client, mover::TOPIC).await)
        });
        assert!(after.iter().all(|(partition, end)| *end == before[partition] + 1));
        self.kill_running();
        self.start();
        // Ends at the high watermark only when the last stable offset has come that far.
        self.check(true);
        let now = self.runtime.block_on(ends(&client, mover::TOPIC));
        assert!(now.iter().all(|(partition, end)| *end == after[partition] + 1), "a marker each");
    }

    /// A clean stop and one more start change nothing; then a look at every byte.
    fn finish(&mut self) -> usize {
        self.abandon();
        let ended = self.broker.take().expect("it runs").stop();
        assert!(ended.status.success(), "{ended:?}");
        self.start();
        self.check(true);
        let ended = self.broker.take().expect("it runs").stop();
        assert_eq!(ended.errors(), Vec::<&str>::new());
        let mut batches = 0;
        for dir in self.dirs() {
            for topic in [mover::TOPIC, copier::TOPIC] {
                let dirs =
                    partitions(topic).map(|at| dir.join(format!("{topic}-{}", at.partition)));
                batches +=
                    dirs.filter(|dir| dir.is_dir()).map(|dir| check_logs(&dir)).sum::<usize>();
            }
        }
        batches
    }

    /// The internal topics whose partitions were compacted.
    fn compacted(&self) -> Vec<String> {
        let points = self.dirs().map(|dir| {
            std::fs::read_to_string(dir.join("cleaner-offset-checkpoint")).unwrap_or_default()
        });
        let lines = points.iter().flat_map(|text| text.lines());
        let mut topics: Vec<String> =
            lines.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect();
        topics.sort();
        topics.dedup();
        topics
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn kills_leave_every_transaction_whole_and_every_commit_in_place() {
    let start = Instant::now();
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = from_environment("KALDA_KILL_SEED").unwrap_or(clock.as_nanos() as u64);
    let rounds = from_environment("KALDA_KILL_ROUNDS");
    let mut test = Test::new(seed);
    test.set_up();
    for round in 0..rounds.unwrap_or(u64::MAX) {
        test.round(round);
        // Who asked for a number of rounds gets them.
        if rounds.is_none() && start.elapsed() > TIME_MAX {
            break;
        }
    }
    let batches = test.finish();
    assert_eq!(test.compacted(), ["__consumer_offsets", "__transaction_state"]);
    let fates = test.workers.movers.iter().flat_map(|mover| mover.book.values());
    let (committed, aborted): (Vec<_>, Vec<_>) =
        fates.partition(|written| written.fate == Fate::Committed);
    println!(
        "seed {seed}: {} kills, {} transactions committed and {} aborted, {} records copied, {} commits of offsets, {batches} batches on disk, {:?}",
        test.kills,
        committed.len(),
        aborted.len(),
        test.workers.copier.copied,
        test.workers.member.commits,
        start.elapsed()
    );
}

#[test]
fn what_fails_leaves_only_the_abort_and_who_is_fenced_nothing() {
    let home = tempfile::tempdir().unwrap();
    let logs = home.path().join("logs");
    let output = home.path().join("output");
    let broker = Broker::start(logs.to_str().unwrap(), &output, &SETTINGS);
    let address = broker.address;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client_of(address, &[("transactional.id", "a"), ("linger.ms", "0")]);
        let small = [("max.message.bytes".to_owned(), "1000".to_owned())];
        let topic = NewTopic { name: "t".to_owned(), configs: small.into(), ..NewTopic::default() };
        client.admin().create_topic(&topic, false).await.unwrap();
        let producer = client.producer().unwrap();
        assert!(producer.begin_transaction().is_err(), "it has no identity yet");
        producer.init_transactions().await.unwrap();
        let record = |value: &str| Record::to("t").value(value.to_owned());
        assert!(producer.send(record("early")).await.is_err(), "no transaction is open");

        producer.begin_transaction().unwrap();
        let refused = producer.send(record(&"x".repeat(2000))).await.unwrap().await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::MessageTooLarge));
        assert_eq!(producer.send(record("after")).await.unwrap_err(), refused);
        assert_eq!(producer.commit_transaction().await.unwrap_err(), refused);
        producer.abort_transaction().await.unwrap();

        // Offsets of a generation that is not: the same.
        producer.begin_transaction().unwrap();
        let taken_back = producer.send(record("aborted")).await.unwrap();
        let offsets = [(TopicPartition::new("t", 0), CommittedOffset::at(1))].into();
        let mut group = ConsumerGroupMetadata::without_member("g");
        (group.generation_id, group.member_id) = (5, "nobody".to_owned());
        assert!(producer.send_offsets(&offsets, &group).await.is_err());
        assert!(producer.commit_transaction().await.is_err());
        producer.abort_transaction().await.unwrap();
        let _sent_or_dropped = taken_back.await;

        producer.begin_transaction().unwrap();
        producer.send(record("committed")).await.unwrap().await.unwrap();
        let group = ConsumerGroupMetadata::without_member("g");
        producer.send_offsets(&offsets, &group).await.unwrap();
        producer.commit_transaction().await.unwrap();

        // A newer producer with the id fences this one, for good.
        producer.begin_transaction().unwrap();
        let newer = client.producer().unwrap();
        newer.init_transactions().await.unwrap();
        let lost = producer.send(record("fenced")).await.unwrap().await.unwrap_err();
        assert_eq!(lost.code(), Some(ErrorCode::InvalidProducerEpoch));
        let fenced = producer.abort_transaction().await.unwrap_err();
        assert_eq!(fenced.code(), Some(ErrorCode::ProducerFenced));
        assert_eq!(producer.begin_transaction().unwrap_err(), fenced);

        let reader = client_of(address, &[("isolation.level", "read_committed")]);
        let mut consumer = reader.consumer().unwrap();
        let partition = TopicPartition::new("t", 0);
        consumer.assign([partition.clone()]);
        consumer.seek(&partition, Seek::Earliest).unwrap();
        let mut seen = Vec::new();
        while seen.is_empty() {
            seen = consumer.poll(Duration::from_millis(50)).await.unwrap();
        }
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].value.as_deref(), Some(&b"committed"[..]));
    });
    let mut raw = client::Client::connect(address);
    assert_eq!(committed(&mut raw, "g", "t")[&TopicPartition::new("t", 0)], 1);
}
