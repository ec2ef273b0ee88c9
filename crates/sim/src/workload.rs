//! What the cluster is used for: writers and readers that talk to it through `kalda-client`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kalda_client::admin::{NewTopic, TopicRef};
use kalda_client::{Client, Consumer, OffsetSpec, Producer, Record, Seek, World};
use kalda_model::TopicPartition;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::chance::Chance;
use crate::clock::SimClock;
use crate::network::{Cuts, SimNet};
use crate::oracle::{Oracle, Value};
use crate::trace::Trace;

/// Where the workload runs.
pub(crate) const HOST: &str = "client";
pub(crate) const TOPIC: &str = "lines";
pub(crate) const PARTITIONS: i32 = 3;
const REPLICAS: i16 = 3;
/// A healed cluster has everything in order after this time.
const SETTLE_MAX: Duration = Duration::from_secs(30);

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
    seed: u64,
    cuts: Cuts,
    trace: Trace,
}

impl Workload {
    pub(crate) fn new(seed: u64, cuts: &Cuts, trace: &Trace) -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::Begin),
            oracle: RefCell::new(Oracle::new(trace.clone())),
            seed,
            cuts: Arc::clone(cuts),
            trace: trace.clone(),
        })
    }

    fn client(&self, name: &str, number: u64) -> Client {
        let world = World {
            clock: Arc::new(SimClock::default()),
            rng: Chance::of(self.seed, 1_000_000 + number),
            net: Arc::new(SimNet { here: HOST.to_owned(), cuts: Arc::clone(&self.cuts) }),
        };
        Client::builder("n1:9092,n2:9092,n3:9092")
            .client_id(name)
            .set("request.timeout.ms", "3000")
            .set("socket.connection.setup.timeout.ms", "2000")
            .set("default.api.timeout.ms", "10000")
            .set("delivery.timeout.ms", "9000")
            .set("max.block.ms", "9000")
            .set("linger.ms", "0")
            .set("isolation.level", "read_committed")
            .set("fetch.max.wait.ms", "300")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.max.ms", "500")
            .world(world)
            .build()
            .expect("the settings hold")
    }

    /// All of it, from the first topic to the last look.
    pub(crate) async fn run(self: Rc<Self>) -> turmoil::Result {
        self.create_topic().await;
        self.phase.set(Phase::Trouble);
        let mut tasks: Vec<JoinHandle<()>> = Vec::new();
        for writer in 0..2 {
            tasks.push(tokio::task::spawn_local(Rc::clone(&self).write(writer)));
        }
        for reader in 0..2 {
            tasks.push(tokio::task::spawn_local(Rc::clone(&self).read(reader)));
        }
        for task in tasks {
            task.await?;
        }
        self.settle().await;
        self.phase.set(Phase::Over);
        Ok(())
    }

    async fn create_topic(&self) {
        let client = self.client("maker", 0);
        let topic = NewTopic {
            name: TOPIC.to_owned(),
            partitions: Some(PARTITIONS),
            replication_factor: Some(REPLICAS),
            ..NewTopic::default()
        };
        let begun = Instant::now();
        while let Err(error) = client.admin().create_topic(&topic, false).await {
            assert!(begun.elapsed() < SETTLE_MAX, "no topic can be created: {error}");
            sleep(Duration::from_millis(200)).await;
        }
        self.trace.tell("the topic is created");
    }

    /// Writes numbered values, a few at a time, with a producer that is replaced when it fails.
    async fn write(self: Rc<Self>, writer: u64) {
        let chance = Chance::of(self.seed, 2_000_000 + writer);
        let client = self.client(&format!("writer-{writer}"), 10 + writer);
        let (mut generation, mut number) = (0, 0);
        let mut producer = client.producer().expect("the settings hold");
        while self.phase.get() == Phase::Trouble {
            let mut is_failed = false;
            let mut under_way = Vec::new();
            for _ in 0..chance.between(1, 5) {
                number += 1;
                let value = Value { writer: writer * 10_000 + generation, number };
                let partition = chance.index(PARTITIONS as usize) as i32;
                self.oracle.borrow_mut().on_sent(TOPIC, partition, value);
                match send(&producer, partition, value).await {
                    Ok(delivery) => under_way.push((value, delivery)),
                    Err(error) => {
                        self.oracle.borrow_mut().on_doubt(value, &error.to_string());
                        is_failed = true;
                    }
                }
            }
            for (value, delivery) in under_way {
                match delivery.await {
                    Ok(sent) => self.oracle.borrow_mut().on_acknowledged(value, sent.offset),
                    Err(error) => {
                        self.oracle.borrow_mut().on_doubt(value, &error.to_string());
                        is_failed = true;
                    }
                }
            }
            if is_failed {
                // What the one before left under way may still arrive, after what this one sends.
                generation += 1;
                producer = client.producer().expect("the settings hold");
            }
            sleep(Duration::from_millis(chance.between(2, 120))).await;
        }
        producer.close().await;
    }

    /// Reads on and on, and now and then all over again.
    async fn read(self: Rc<Self>, reader: u64) {
        let chance = Chance::of(self.seed, 3_000_000 + reader);
        let client = self.client(&format!("reader-{reader}"), 20 + reader);
        while self.phase.get() == Phase::Trouble {
            self.oracle.borrow_mut().counts.rereads += 1;
            let mut consumer = client.consumer().expect("the settings hold");
            let mut next = assign_all(&mut consumer);
            for _ in 0..chance.between(10, 60) {
                if self.phase.get() != Phase::Trouble {
                    break;
                }
                self.poll(&mut consumer, &mut next).await;
            }
        }
    }

    /// Polls once; each partition goes on where it was.
    async fn poll(&self, consumer: &mut Consumer, next: &mut [i64]) {
        let Ok(records) = consumer.poll(Duration::from_millis(500)).await else {
            return sleep(Duration::from_millis(100)).await;
        };
        for record in records {
            let (partition, offset) = (record.partition.partition, record.offset.0);
            let expected = &mut next[partition as usize];
            assert_eq!(offset, *expected, "{}: the next record", record.partition);
            *expected += 1;
            let value = record.value.unwrap_or_default();
            self.oracle.borrow_mut().on_read(TOPIC, partition, offset, &value);
        }
    }

    /// Everything comes back in time, and all that must be there is.
    async fn settle(&self) {
        let begun = Instant::now();
        let client = self.client("judge", 1);
        loop {
            let described = timeout(Duration::from_secs(5), self.describe(&client)).await;
            let why = match described {
                Ok(Ok(())) => break,
                Ok(Err(why)) => why,
                Err(_) => "no answer in time".to_owned(),
            };
            assert!(begun.elapsed() < SETTLE_MAX, "not in order after {SETTLE_MAX:?}: {why}");
            sleep(Duration::from_millis(250)).await;
        }
        self.trace.tell(&format!("all is in order after {:?}", begun.elapsed()));
        self.write_afresh(&client).await;
        self.read_all(&client).await;
    }

    async fn describe(&self, client: &Client) -> Result<(), String> {
        let topic = TopicRef::Name(TOPIC.to_owned());
        let described =
            client.admin().describe_topic(&topic, 100).await.map_err(|error| error.to_string())?;
        for partition in described.partitions {
            if partition.leader.is_none() || partition.isr.len() != REPLICAS as usize {
                return Err(format!("{partition:?}"));
            }
        }
        Ok(())
    }

    async fn write_afresh(&self, client: &Client) {
        let producer = client.producer().expect("the settings hold");
        for partition in 0..PARTITIONS {
            let value = Value { writer: 99_999, number: partition as u64 };
            self.oracle.borrow_mut().on_sent(TOPIC, partition, value);
            let delivery = send(&producer, partition, value).await.expect("it is taken");
            let sent = delivery.await.expect("it is acknowledged");
            self.oracle.borrow_mut().on_acknowledged(value, sent.offset);
        }
        producer.close().await;
    }

    async fn read_all(&self, client: &Client) {
        let mut ends = Vec::new();
        for partition in 0..PARTITIONS {
            let at = TopicPartition::new(TOPIC, partition);
            let wanted = [(at.clone(), OffsetSpec::Latest)].into();
            let mut listed = client.admin().list_offsets(&wanted).await.expect("it is told");
            let listed = listed.remove(&at).expect("it was asked").expect("the end is known");
            ends.push(listed.offset.expect("there is an end").0);
        }
        let mut consumer = client.consumer().expect("the settings hold");
        let mut next = assign_all(&mut consumer);
        let begun = Instant::now();
        while next != ends {
            assert!(begun.elapsed() < SETTLE_MAX, "read up to {next:?} of {ends:?}");
            self.poll(&mut consumer, &mut next).await;
        }
        for (partition, end) in (0..).zip(ends) {
            // Reading is dense, or `poll` had complained.
            let seen: Vec<i64> = (0..end).collect();
            self.oracle.borrow().on_whole_read(TOPIC, partition, &seen, end);
        }
    }
}

async fn send(
    producer: &Producer,
    partition: i32,
    value: Value,
) -> kalda_client::Result<kalda_client::Delivery> {
    let record = Record { partition: Some(partition), ..Record::to(TOPIC) };
    producer.send(record.value(value.text())).await
}

/// Reads all from the begin; where each partition goes on.
fn assign_all(consumer: &mut Consumer) -> Vec<i64> {
    let all: Vec<_> = (0..PARTITIONS).map(|index| TopicPartition::new(TOPIC, index)).collect();
    consumer.assign(all.clone());
    for at in &all {
        consumer.seek(at, Seek::Offset(0)).expect("it is assigned");
    }
    vec![0; all.len()]
}
