//! A transactional producer that moves numbered records, and the book of what it was told of them.

use std::collections::BTreeMap;

use kalda_client::{Client, Producer, Record};

use crate::process::Numbers;

/// The topic that it writes to, and its partitions.
pub(crate) const TOPIC: &str = "numbers";
pub(crate) const PARTITIONS: i32 = 4;

/// What became of a transaction, as far as its producer knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It was aborted, or its producer died before it asked for a commit.
    Aborted,
    /// Its producer died while it waited for the answer to its commit.
    InDoubt,
    Committed,
}

/// One transaction.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) values: Vec<String>,
    pub(crate) fate: Fate,
}

/// The producer. Its process may die while it has no answer: that is what `producer` being taken is.
pub(crate) struct Mover {
    pub(crate) transactional_id: &'static str,
    pub(crate) producer: Option<Producer>,
    pub(crate) numbers: Numbers,
    pub(crate) book: BTreeMap<u64, Written>,
    next: u64,
}

impl Mover {
    pub(crate) fn new(transactional_id: &'static str, seed: u64) -> Self {
        let (book, numbers) = (BTreeMap::new(), Numbers(seed));
        Self { transactional_id, producer: None, numbers, book, next: 0 }
    }

    /// Comes to life again, if it died: whatever it had left open is aborted by that.
    pub(crate) async fn revive(&mut self, client: impl Fn(&[(&str, &str)]) -> Client) {
        if self.producer.is_none() {
            let settings = [("transactional.id", self.transactional_id), ("linger.ms", "1")];
            let producer = client(&settings).producer().unwrap();
            producer.init_transactions().await.unwrap();
            self.producer = Some(producer);
        }
    }

    /// One transaction over several partitions. Whatever happens to the broker, nothing of it may
    /// fail: it goes on where it was.
    pub(crate) async fn transaction(&mut self) {
        let producer = self.producer.as_ref().expect("it lives");
        let (number, id) = (self.next, self.transactional_id);
        self.next += 1;
        let count = 2 + self.numbers.below(12);
        let values = (0..count).map(|index| format!("{id} {number} {index}/{count}")).collect();
        let written = Written { values, fate: Fate::Aborted };
        let written = self.book.entry(number).or_insert(written);

        producer.begin_transaction().unwrap();
        let mut deliveries = Vec::new();
        for value in &written.values {
            let partition = self.numbers.below(PARTITIONS as u64) as i32;
            let record = Record { partition: Some(partition), ..Record::to(TOPIC) };
            deliveries.push(producer.send(record.value(value.clone())).await.unwrap());
        }
        if self.numbers.below(3) == 0 {
            for delivery in deliveries.drain(..) {
                delivery.await.unwrap();
            }
        }
        if self.numbers.below(4) == 0 {
            return producer.abort_transaction().await.unwrap();
        }
        written.fate = Fate::InDoubt;
        producer.commit_transaction().await.unwrap();
        written.fate = Fate::Committed;
        for delivery in deliveries {
            delivery.await.unwrap();
        }
    }
}
