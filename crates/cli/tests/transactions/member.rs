//! A plain member of a group that commits what it has read, outside of any transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use kalda_client::{Client, GroupConsumer};
use kalda_model::TopicPartition;

use crate::copier::is_of_a_rebalance;
use crate::mover;

pub(crate) const GROUP: &str = "member";

/// The member, and what it was told is committed.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) consumer: Option<GroupConsumer>,
    pub(crate) acknowledged: BTreeMap<TopicPartition, i64>,
    pub(crate) commits: u64,
}

impl Member {
    /// Comes to life again, if it died.
    pub(crate) fn revive(&mut self, client: impl Fn(&[(&str, &str)]) -> Client) {
        if self.consumer.is_none() {
            let settings = [
                ("enable.auto.commit", "false"),
                ("auto.offset.reset", "earliest"),
                ("max.poll.records", "7"),
                ("group.id", GROUP),
                ("group.instance.id", "member-1"),
            ];
            let topics = [mover::TOPIC.to_owned()];
            self.consumer = Some(client(&settings).group_consumer(topics).unwrap());
        }
    }

    /// Reads a little and commits it.
    pub(crate) async fn step(&mut self) {
        let consumer = self.consumer.as_mut().expect("it lives");
        let records = consumer.poll(Duration::from_millis(20)).await.unwrap();
        if records.is_empty() {
            return;
        }
        match consumer.commit().await {
            Ok(()) => {
                self.commits += 1;
                for record in records {
                    self.acknowledged.insert(record.partition, record.offset.0 + 1);
                }
            }
            Err(error) => assert!(is_of_a_rebalance(&error), "{error:?}"),
        }
    }
}
