//! A consumer that reads all the time, through every fault: what it was once given stays true.

use std::time::Duration;

use kalda_client::{Client, Consumer, Seek};

use crate::reader::{Seen, partitions};

/// It reads one topic from the start on.
pub(crate) struct Watcher {
    topic: &'static str,
    isolation: &'static str,
    consumer: Option<Consumer>,
    pub(crate) seen: Seen,
    /// How much of `seen` was compared with what is there.
    pub(crate) given: u64,
}

impl Watcher {
    pub(crate) fn new(topic: &'static str, isolation: &'static str) -> Self {
        Self { topic, isolation, consumer: None, seen: Seen::new(), given: 0 }
    }

    pub(crate) fn revive(&mut self, client: impl Fn(&[(&str, &str)]) -> Client) {
        if self.consumer.is_none() {
            let mut consumer = client(&[("isolation.level", self.isolation)]).consumer().unwrap();
            consumer.assign(partitions(self.topic));
            for partition in partitions(self.topic) {
                consumer.seek(&partition, Seek::Offset(0)).unwrap();
            }
            self.consumer = Some(consumer);
        }
    }

    pub(crate) async fn step(&mut self) {
        let consumer = self.consumer.as_mut().expect("it lives");
        for record in consumer.poll(Duration::from_millis(20)).await.unwrap() {
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            let at = (record.partition.partition, record.offset.0);
            let known = self.seen.insert(at, value);
            assert_eq!(known, None, "{}: {at:?} was given twice", self.topic);
        }
    }

    /// Whatever it was given is there, at its offset.
    pub(crate) fn check(&mut self, there: &Seen) {
        for (at, value) in &self.seen {
            assert_eq!(there.get(at), Some(value), "{}: {at:?} was {value}", self.topic);
        }
        self.given += self.seen.len() as u64;
        self.seen.clear();
    }
}
