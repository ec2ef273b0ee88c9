//! Consume, transform, produce: each record that is committed is copied once, with the offsets that it
//! was read at in the same transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use kalda_client::{
    Client, CommittedOffset, CommittedOffsets, Error, GroupConsumer, Producer, Record, Seek,
};
use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;

use crate::mover;
use crate::process::Numbers;

/// The topic that it writes to, with the partitions of what it reads.
pub(crate) const TOPIC: &str = "copies";
pub(crate) const GROUP: &str = "copier";

/// A consumer and a producer.
pub(crate) struct Copier {
    pub(crate) process: Option<(GroupConsumer, Producer)>,
    pub(crate) numbers: Numbers,
    /// Where the next transaction begins, of the partitions that were read.
    next: BTreeMap<TopicPartition, i64>,
    pub(crate) copied: u64,
}

impl Copier {
    pub(crate) fn new(seed: u64) -> Self {
        Self { process: None, numbers: Numbers(seed), next: BTreeMap::new(), copied: 0 }
    }

    /// Comes to life again, if it died.
    pub(crate) async fn revive(&mut self, client: impl Fn(&[(&str, &str)]) -> Client) {
        if self.process.is_some() {
            return;
        }
        self.next.clear();
        let settings = [
            ("transactional.id", "copier"),
            ("linger.ms", "0"),
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("group.id", GROUP),
            // The one that is gone is replaced at once.
            ("group.instance.id", "copier-1"),
        ];
        let client = client(&settings);
        let producer = client.producer().unwrap();
        producer.init_transactions().await.unwrap();
        let consumer = client.group_consumer([mover::TOPIC.to_owned()]).unwrap();
        self.process = Some((consumer, producer));
    }

    /// Copies what one poll brings.
    pub(crate) async fn transaction(&mut self) {
        let (consumer, producer) = self.process.as_mut().expect("it lives");
        let records = consumer.poll(Duration::from_millis(20)).await.unwrap();
        if records.is_empty() {
            return;
        }
        producer.begin_transaction().unwrap();
        let mut offsets = CommittedOffsets::new();
        for record in records {
            let (partition, offset) = (record.partition, record.offset.0);
            self.next.entry(partition.clone()).or_insert(offset);
            let copy = Record { partition: Some(partition.partition), ..Record::to(TOPIC) };
            let _answered_by_the_commit =
                producer.send(copy.value(record.value.unwrap())).await.unwrap();
            offsets.insert(partition, CommittedOffset::at(offset + 1));
            self.copied += 1;
        }
        let sent = producer.send_offsets(&offsets, &consumer.group_metadata()).await;
        if let Err(error) = &sent {
            assert!(is_of_a_rebalance(error), "{error:?}");
        }
        if sent.is_err() || self.numbers.below(6) == 0 {
            producer.abort_transaction().await.unwrap();
            for partition in consumer.assignment().to_vec() {
                if let Some(next) = self.next.get(&partition) {
                    consumer.seek(&partition, Seek::Offset(*next)).unwrap();
                }
            }
            return;
        }
        producer.commit_transaction().await.unwrap();
        self.next.extend(offsets.into_iter().map(|(partition, at)| (partition, at.offset)));
    }
}

/// Whether the group has given the partitions to another generation, which is nobody's fault.
pub(crate) fn is_of_a_rebalance(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId
                | ErrorCode::RebalanceInProgress
        )
    )
}
