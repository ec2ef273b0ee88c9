//! An idempotent producer without transactions, the book of what it was told, and the check of what
//! is there: in each partition the records of one of its lives are the first of those it sent there,
//! each once and in order, and among them is whatever was acknowledged, at its offset.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kalda_client::{Client, Delivery, Producer, Record};

use crate::mover::PARTITIONS;
use crate::process::Numbers;

/// The topic that it writes to, with as many partitions as that of the movers.
pub(crate) const TOPIC: &str = "lines";
/// Records on their way at once.
const IN_FLIGHT_MAX: usize = 20;

/// A record that was sent.
#[derive(Debug)]
struct Sent {
    value: String,
    /// Where it went, if it was acknowledged.
    offset: Option<i64>,
}

/// The producer. It dies by `producer` being taken.
pub(crate) struct Appender {
    name: &'static str,
    pub(crate) producer: Option<Producer>,
    life: u32,
    next: u64,
    numbers: Numbers,
    /// Not looked for yet, by life and partition.
    sent: BTreeMap<(u32, i32), VecDeque<Sent>>,
    in_flight: VecDeque<((u32, i32), String, Delivery)>,
    pub(crate) acknowledged: u64,
}

impl Appender {
    pub(crate) fn new(name: &'static str, seed: u64) -> Self {
        Self {
            name,
            producer: None,
            life: 0,
            next: 0,
            numbers: Numbers(seed),
            sent: BTreeMap::new(),
            in_flight: VecDeque::new(),
            acknowledged: 0,
        }
    }

    /// Comes to life again, if it died, as a producer that nobody knows.
    pub(crate) fn revive(&mut self, client: impl Fn(&[(&str, &str)]) -> Client) {
        if self.producer.is_none() {
            self.life += 1;
            self.in_flight.clear();
            self.producer =
                Some(client(&[("linger.ms", "2"), ("acks", "all")]).producer().unwrap());
        }
    }

    /// Sends a few more. Whatever happens to nodes, nothing of it may fail.
    pub(crate) async fn step(&mut self) {
        let producer = self.producer.as_ref().expect("it lives");
        for _ in 0..=self.numbers.below(IN_FLIGHT_MAX as u64) {
            let partition = self.numbers.below(PARTITIONS as u64) as i32;
            let of = (self.life, partition);
            let value =
                format!("{} {} {} {:x}", self.name, self.life, self.next, self.numbers.next());
            self.next += 1;
            // What is not handed over whole may be there all the same.
            let sent = Sent { value: value.clone(), offset: None };
            self.sent.entry(of).or_default().push_back(sent);
            let record = Record { partition: Some(partition), ..Record::to(TOPIC) };
            let delivery = producer.send(record.value(value.clone())).await.unwrap();
            self.in_flight.push_back((of, value, delivery));
        }
        tokio::time::sleep(Duration::from_millis(self.numbers.below(20))).await;
        self.settle(IN_FLIGHT_MAX).await;
    }

    /// Waits until no more than `left` records have no answer.
    pub(crate) async fn settle(&mut self, left: usize) {
        while self.in_flight.len() > left {
            let (of, value, delivery) = self.in_flight.front_mut().expect("one at least");
            let answer = delivery.await.unwrap();
            let sent = self.sent.get_mut(of).expect("it was sent");
            let sent = sent.iter_mut().find(|sent| sent.value == *value).expect("it was sent");
            // A duplicate that the broker had already has no offset, and is acknowledged all the same.
            sent.offset = Some(answer.offset.unwrap_or(-1));
            self.acknowledged += 1;
            self.in_flight.pop_front();
        }
    }

    /// Takes from the book what is found at (partition, offset), in the order of offsets.
    pub(crate) fn on_found(&mut self, (partition, offset): (i32, i64), value: &str) -> bool {
        let mut words = value.split(' ');
        if words.next() != Some(self.name) {
            return false;
        }
        let life: u32 = words.next().unwrap().parse().unwrap();
        let expected = self.sent.get_mut(&(life, partition)).and_then(VecDeque::pop_front);
        let expected =
            expected.unwrap_or_else(|| panic!("{partition}@{offset}: {value} is too many"));
        assert_eq!(value, expected.value, "{partition}@{offset}: in order, once, without a gap");
        if let Some(acknowledged) = expected.offset.filter(|acknowledged| *acknowledged >= 0) {
            assert_eq!(offset, acknowledged, "{partition}: {value}");
        }
        true
    }

    /// All was read: what is still in the book is lost, if it was acknowledged.
    pub(crate) fn on_end(&mut self) {
        for ((life, partition), sent) in &self.sent {
            let lost: Vec<_> = sent.iter().filter(|sent| sent.offset.is_some()).collect();
            assert!(lost.is_empty(), "{} {life} in {partition}: lost {lost:?}", self.name);
            let is_alive = *life == self.life && self.producer.is_some();
            assert!(!is_alive || sent.is_empty(), "{}: no answer to {sent:?}", self.name);
        }
        self.sent.clear();
    }
}
