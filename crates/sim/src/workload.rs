//! What the cluster is used for: writers and readers that talk to it through `kalda-client`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kalda_client::admin::{NewTopic, TopicRef};
use kalda_client::{Client, ClientBuilder, ListedOffset, OffsetSpec, World};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::chance::Chance;
use crate::clock::SimClock;
use crate::copies::{COPIER_COUNT, COPIERS, COPIES};
use crate::group::{MEMBERS, READERS};
use crate::lines::{LINES, producer_of, send};
use crate::movers::{MOVERS, MOVES};
use crate::network::{Cuts, SimNet};
use crate::oracle::{Fate, Oracle, Value};
use crate::shape::Shape;
use crate::trace::Trace;

/// Where the workload runs.
pub(crate) const HOST: &str = "client";
const REPLICAS: i16 = 3;
/// A healed cluster has everything in order after this time.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// A topic that is written to and read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) partitions: i32,
    /// Whether a reader sees every offset.
    pub(crate) is_dense: bool,
    pub(crate) content: Content,
}

/// What stands in the records of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// Values that are written once.
    Values,
    /// What stands in the records of another topic.
    Copies,
}

/// All of them.
pub(crate) const TOPICS: [Topic; 3] = [LINES, MOVES, COPIES];

/// What groups and transactions are kept in.
const INTERNAL_TOPICS: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// What goes on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// The topics are being made.
    Begin,
    /// The cluster is used, and things happen to it.
    Trouble,
    /// Nothing happens any more: all must come back.
    Healed,
    /// The last look was taken.
    Over,
}

/// The workload and those who drive it.
pub(crate) struct Workload {
    pub(crate) phase: Cell<Phase>,
    pub(crate) oracle: RefCell<Oracle>,
    pub(crate) seed: u64,
    pub(crate) trace: Trace,
    /// The ids of the brokers.
    pub(crate) brokers: Vec<i32>,
    bootstrap: String,
    cuts: Cuts,
}

impl Workload {
    pub(crate) fn new(seed: u64, shape: &Shape, cuts: &Cuts, trace: &Trace) -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::Begin),
            oracle: RefCell::new(Oracle::new(trace.clone())),
            seed,
            brokers: shape.brokers(),
            bootstrap: shape.bootstrap(),
            cuts: Arc::clone(cuts),
            trace: trace.clone(),
        })
    }

    /// A client with times that suit the simulation.
    pub(crate) fn client(&self, name: &str, number: u64) -> Client {
        self.builder(name, number).build().expect("the settings hold")
    }

    /// A client whose producers work in transactions.
    pub(crate) fn transactional_client(&self, whose: &str, number: u64) -> Client {
        let id = format!("{whose}-{number}");
        let base = if whose == MOVERS { 30 } else { 40 };
        let builder = self.builder(&id, base + number).set("transactional.id", &id);
        builder.set("transaction.timeout.ms", "8000").build().expect("the settings hold")
    }

    /// A client whose consumers are members of a group, and commit when they are told to.
    pub(crate) fn member_client(&self, group: &str, name: &str, number: u64) -> Client {
        let builder = self.builder(name, number).set("group.id", group);
        let builder = builder.set("enable.auto.commit", "false");
        let builder = builder.set("auto.offset.reset", "earliest");
        let builder = builder.set("session.timeout.ms", "6000");
        let builder = builder.set("max.poll.interval.ms", "8000");
        builder.set("heartbeat.interval.ms", "1000").build().expect("the settings hold")
    }

    pub(crate) fn builder(&self, name: &str, number: u64) -> ClientBuilder {
        let world = World {
            clock: Arc::new(SimClock::default()),
            rng: Chance::of(self.seed, 1_000_000 + number),
            net: Arc::new(SimNet { here: HOST.to_owned(), cuts: Arc::clone(&self.cuts) }),
        };
        Client::builder(&self.bootstrap)
            .client_id(name)
            .set("request.timeout.ms", "3000")
            .set("socket.connection.setup.timeout.ms", "2000")
            .set("default.api.timeout.ms", "10000")
            .set("delivery.timeout.ms", "9000")
            .set("max.block.ms", "9000")
            .set("linger.ms", "0")
            .set("isolation.level", "read_committed")
            .set("fetch.max.wait.ms", "400")
            .set("fetch.min.bytes", "4000")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.max.ms", "500")
            .world(world)
    }

    /// All of it, from the first topic to the last look.
    pub(crate) async fn run(self: Rc<Self>) -> turmoil::Result {
        for topic in TOPICS {
            self.create_topic(topic).await;
        }
        self.phase.set(Phase::Trouble);
        let mut tasks: Vec<JoinHandle<()>> = vec![
            tokio::task::spawn_local(Rc::clone(&self).write(0)),
            tokio::task::spawn_local(Rc::clone(&self).write(1)),
            tokio::task::spawn_local(Rc::clone(&self).move_values(0)),
        ];
        for member in 0..MEMBERS {
            tokio::task::spawn_local(Rc::clone(&self).read_as_member(member));
        }
        for copier in 0..COPIER_COUNT {
            tokio::task::spawn_local(Rc::clone(&self).copy(copier));
        }
        let operator = tokio::task::spawn_local(Rc::clone(&self).operate());
        for (reader, topic) in (0..).zip(TOPICS) {
            tasks.push(tokio::task::spawn_local(Rc::clone(&self).read(reader, topic)));
        }
        while self.phase.get() == Phase::Trouble {
            sleep(Duration::from_millis(50)).await;
        }
        // What it has asked for last is done before it is put in order.
        operator.await?;
        let client = self.client("judge", 1);
        self.settle(&client).await;
        for task in tasks {
            task.await?;
        }
        self.judge(&client).await;
        self.phase.set(Phase::Over);
        Ok(())
    }

    async fn create_topic(&self, topic: Topic) {
        let client = self.client("maker", 0);
        let new = NewTopic {
            name: topic.name.to_owned(),
            partitions: Some(topic.partitions),
            replication_factor: Some(REPLICAS),
            ..NewTopic::default()
        };
        let begun = Instant::now();
        while let Err(error) = client.admin().create_topic(&new, false).await {
            assert!(begun.elapsed() < SETTLE_MAX, "no topic can be created: {error}");
            sleep(Duration::from_millis(200)).await;
        }
        self.trace.tell(&format!("{} is created", topic.name));
    }

    /// Everything comes back in time.
    async fn settle(&self, client: &Client) {
        let begun = Instant::now();
        loop {
            let in_order = timeout(Duration::from_secs(8), async {
                self.spread(&client.admin()).await?;
                for topic in TOPICS.iter().map(|topic| topic.name).chain(INTERNAL_TOPICS) {
                    self.describe(client, topic).await?;
                }
                Ok::<_, String>(())
            });
            let why = match in_order.await {
                Ok(Ok(())) => break,
                Ok(Err(why)) => why,
                Err(_) => "no answer in time".to_owned(),
            };
            assert!(begun.elapsed() < SETTLE_MAX, "not in order after {SETTLE_MAX:?}: {why}");
            sleep(Duration::from_millis(250)).await;
        }
        self.trace.tell(&format!("all is in order after {:?}", begun.elapsed()));
    }

    /// All that must be there is.
    async fn judge(&self, client: &Client) {
        self.write_afresh(client).await;
        let lines = self.read_all(client, LINES).await;
        self.read_all(client, MOVES).await;
        self.oracle.borrow().check_transactions();
        for group in [READERS, COPIERS] {
            self.drain(client, group, &lines).await;
        }
        self.read_copies(client, &lines).await;
    }

    /// The group reads and commits all of the lines; it has read every one of them.
    async fn drain(&self, client: &Client, group: &str, ends: &[i64]) {
        let begun = Instant::now();
        loop {
            let listed = client.admin().list_group_offsets(group).await;
            let committed = |at| {
                let listed = listed.as_ref().ok().and_then(|listed| listed.get(&at));
                listed.map_or(0, |committed| committed.offset)
            };
            let committed: Vec<i64> = LINES.all().map(committed).collect();
            if committed == ends {
                break;
            }
            let is_possible = committed.iter().zip(ends).all(|(committed, end)| committed <= end);
            assert!(is_possible, "{group} has committed {committed:?}, and the ends are {ends:?}");
            if begun.elapsed() > SETTLE_MAX {
                let now = client.admin().describe_group(group).await;
                panic!("{group} has committed {committed:?} of {ends:?}: {now:?}");
            }
            sleep(Duration::from_millis(250)).await;
        }
        for (partition, end) in (0..).zip(ends) {
            let read = self.oracle.borrow().groups.read(group, partition);
            assert_eq!(read, *end, "{group} has not read all of partition {partition}");
        }
    }

    /// There is one copy of each line, in their order, and nothing else.
    async fn read_copies(&self, client: &Client, ends: &[i64]) {
        let begun = Instant::now();
        let mut consumer = client.consumer().expect("the settings hold");
        let mut cursors = COPIES.assign_all(&mut consumer);
        loop {
            self.poll(COPIES, &mut consumer, &mut cursors).await;
            let seen: Vec<i64> = cursors.iter().map(|cursor| cursor.seen).collect();
            if seen == ends {
                return;
            }
            assert!(begun.elapsed() < SETTLE_MAX, "{seen:?} copies of {ends:?} lines");
        }
    }

    async fn describe(&self, client: &Client, topic: &str) -> Result<(), String> {
        let name = TopicRef::Name(topic.to_owned());
        let described = client.admin().describe_topic(&name, 100).await;
        for partition in described.map_err(|error| error.to_string())?.partitions {
            let has_all = partition.isr.len() == REPLICAS as usize
                && partition.replicas.len() == REPLICAS as usize;
            if partition.leader.is_none() || !has_all {
                return Err(format!("{topic}: {partition:?}"));
            }
        }
        Ok(())
    }

    /// Every partition takes a record, and the transactional id a transaction.
    async fn write_afresh(&self, client: &Client) {
        let producer = producer_of(client);
        for partition in 0..LINES.partitions {
            let value = Value { writer: 99_999, number: partition as u64 };
            self.oracle.borrow_mut().on_sent(LINES.name, partition, value);
            let delivery = send(&producer, LINES, partition, value).await.expect("it is taken");
            let sent = delivery.await.expect("it is acknowledged");
            self.oracle.borrow_mut().on_acknowledged(value, sent.offset);
        }
        producer.close().await;
        let producer = producer_of(&self.transactional_client(MOVERS, 0));
        producer.init_transactions().await.expect("the id is to be had");
        producer.begin_transaction().expect("none is open");
        let mut values = Vec::new();
        for partition in 0..MOVES.partitions {
            let value = Value { writer: 99_998, number: partition as u64 };
            self.oracle.borrow_mut().on_sent(MOVES.name, partition, value);
            let delivery = send(&producer, MOVES, partition, value).await.expect("it is taken");
            delivery.await.expect("it is acknowledged");
            values.push(value);
        }
        producer.commit_transaction().await.expect("it is committed");
        self.oracle.borrow_mut().on_transaction(values, Fate::Committed);
        producer.close().await;
    }

    /// Reads all that is committed; no transaction may be in the way. Answers where each partition ends.
    async fn read_all(&self, client: &Client, topic: Topic) -> Vec<i64> {
        let begun = Instant::now();
        let mut consumer = client.consumer().expect("the settings hold");
        let mut next = topic.assign_all(&mut consumer);
        let wanted = topic.all().map(|at| (at, OffsetSpec::Latest)).collect();
        let listed = client.admin().list_offsets(&wanted).await.expect("it is told");
        let end = |listed: kalda_client::Result<ListedOffset>| {
            listed.expect("the end is known").offset.expect("there is an end").0
        };
        let ends: Vec<i64> = listed.into_values().map(end).collect();
        loop {
            let is_whole = topic
                .all()
                .zip(&ends)
                .all(|(at, end)| consumer.position(&at).is_some_and(|position| position.0 >= *end));
            if is_whole {
                break;
            }
            assert!(begun.elapsed() < SETTLE_MAX, "{}: {next:?} of {ends:?}", topic.name);
            self.poll(topic, &mut consumer, &mut next).await;
        }
        for (partition, end) in (0..).zip(&ends) {
            self.oracle.borrow().on_whole_read(topic.name, partition, *end);
        }
        ends
    }
}
