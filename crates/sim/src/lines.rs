//! Numbered values without transactions: who writes them, and who reads whatever there is to be read.

use std::rc::Rc;
use std::time::Duration;

use kalda_client::{Client, Consumer, Delivery, Producer, Record, Seek};
use kalda_model::TopicPartition;
use tokio::time::sleep;

use crate::chance::Chance;
use crate::oracle::Value;
use crate::workload::{Content, Phase, Topic, Workload};

/// What is written without transactions: each offset holds a value.
pub(crate) const LINES: Topic =
    Topic { name: "lines", partitions: 3, is_dense: true, content: Content::Values };

/// How far a partition is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// The next offset.
    pub(crate) next: i64,
    /// How many records there were.
    pub(crate) seen: i64,
}

impl Workload {
    /// Writes numbered values, a few at a time, with a producer that is replaced when it fails.
    pub(crate) async fn write(self: Rc<Self>, writer: u64) {
        let chance = Chance::of(self.seed, 2_000_000 + writer);
        let client = self.client(&format!("writer-{writer}"), 10 + writer);
        let (mut generation, mut number) = (0, 0);
        let mut producer = producer_of(&client);
        while self.phase.get() == Phase::Trouble {
            let mut is_failed = false;
            let mut under_way = Vec::new();
            for _ in 0..chance.between(1, 5) {
                number += 1;
                let value = Value { writer: writer * 10_000 + generation, number };
                let partition = chance.index(LINES.partitions as usize) as i32;
                self.oracle.borrow_mut().on_sent(LINES.name, partition, value);
                match send(&producer, LINES, partition, value).await {
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
                producer = producer_of(&client);
            }
            sleep(Duration::from_millis(chance.between(2, 300))).await;
        }
        producer.close().await;
    }

    /// Reads on and on, and now and then all over again.
    pub(crate) async fn read(self: Rc<Self>, reader: u64, topic: Topic) {
        let chance = Chance::of(self.seed, 3_000_000 + reader);
        let client = self.client(&format!("reader-{reader}"), 20 + reader);
        while self.phase.get() == Phase::Trouble {
            self.oracle.borrow_mut().counts.rereads += 1;
            let mut consumer = client.consumer().expect("the settings hold");
            let mut next = topic.assign_all(&mut consumer);
            for _ in 0..chance.between(10, 60) {
                if self.phase.get() != Phase::Trouble {
                    break;
                }
                self.poll(topic, &mut consumer, &mut next).await;
            }
        }
    }

    /// Polls once; each partition goes on where it was.
    pub(crate) async fn poll(&self, topic: Topic, consumer: &mut Consumer, next: &mut [Cursor]) {
        let Ok(records) = consumer.poll(Duration::from_millis(500)).await else {
            return sleep(Duration::from_millis(100)).await;
        };
        let mut oracle = self.oracle.borrow_mut();
        for record in records {
            let (partition, offset) = (record.partition.partition, record.offset.0);
            let Cursor { next: expected, seen } = &mut next[partition as usize];
            let is_next = offset == *expected || !topic.is_dense && offset > *expected;
            assert!(is_next, "{}: {offset} comes where {expected} is next", record.partition);
            *expected = offset + 1;
            let value = record.value.unwrap_or_default();
            match topic.content {
                Content::Values => oracle.on_read(topic.name, partition, offset, &value),
                Content::Copies => oracle.on_copy_read(partition, *seen, &value),
            }
            *seen += 1;
        }
    }
}

impl Topic {
    /// Has all of it read from the begin; answers where each partition goes on.
    pub(crate) fn assign_all(self, consumer: &mut Consumer) -> Vec<Cursor> {
        let all: Vec<_> = self.all().collect();
        consumer.assign(all.clone());
        for at in &all {
            consumer.seek(at, Seek::Offset(0)).expect("it is assigned");
        }
        vec![Cursor::default(); all.len()]
    }

    /// Its partitions.
    pub(crate) fn all(self) -> impl Iterator<Item = TopicPartition> {
        (0..self.partitions).map(move |index| TopicPartition::new(self.name, index))
    }
}

/// Hands a value to the producer.
pub(crate) async fn send(
    producer: &Producer,
    topic: Topic,
    partition: i32,
    value: Value,
) -> kalda_client::Result<Delivery> {
    let record = Record { partition: Some(partition), ..Record::to(topic.name) };
    producer.send(record.value(value.text())).await
}

/// A producer with the settings of its client.
pub(crate) fn producer_of(client: &Client) -> Producer {
    client.producer().expect("the settings hold")
}
