//! A consumer group: members that read, commit, die and come back.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kalda_client::{ConsumedRecord, GroupConsumer};
use tokio::time::{sleep, timeout};

use crate::chance::Chance;
use crate::lines::LINES;
use crate::workload::{Phase, Workload};

/// The group that reads the lines.
pub(crate) const READERS: &str = "readers";
/// How many members it has at most.
pub(crate) const MEMBERS: u64 = 3;
/// The time of an orderly leave.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// What a member knows of its assignment.
#[derive(Debug, Default)]
pub(crate) struct Assignment {
    /// The generation, and who the member is in it.
    who: (i32, String),
    /// What was committed before it was told where to begin, by partition.
    committed: BTreeMap<i32, i64>,
    /// Where each partition goes on, once it has begun.
    pub(crate) next: BTreeMap<i32, i64>,
}

impl Workload {
    /// One member after the other, in one place of the group.
    pub(crate) async fn read_as_member(self: Rc<Self>, place: u64) {
        let chance = Chance::of(self.seed, 7_000_000 + place);
        let client = self.member_client(READERS, &format!("member-{place}"), 50 + place);
        while self.phase.get() != Phase::Over {
            let mut consumer = group_consumer(&client);
            let mut assignment = Assignment::default();
            let mut polls = chance.between(10, 80);
            while polls > 0 || self.phase.get() != Phase::Trouble {
                polls = polls.saturating_sub(1);
                let Some(records) = self.poll_group(&mut consumer, &mut assignment).await else {
                    break;
                };
                let is_calm = self.phase.get() != Phase::Trouble;
                if is_calm || !records.is_empty() && chance.percent(70) {
                    self.commit_group(&mut consumer, &assignment).await;
                }
                if self.phase.get() == Phase::Over {
                    return;
                }
                sleep(Duration::from_millis(chance.between(20, 400))).await;
            }
            self.oracle.borrow_mut().counts.members_gone += 1;
            if chance.percent(50) {
                // Whether it could leave in order is not its business any more.
                let _left = timeout(LEAVE_MAX, consumer.close()).await;
            } else {
                // Nobody is told: the coordinator has to notice.
                drop(consumer);
            }
            sleep(Duration::from_millis(chance.between(10, 3000))).await;
        }
    }

    /// Polls once, and looks at what comes; nothing once the member cannot go on.
    pub(crate) async fn poll_group(
        &self,
        consumer: &mut GroupConsumer,
        assignment: &mut Assignment,
    ) -> Option<Vec<ConsumedRecord>> {
        let group = consumer.group_metadata().group_id;
        let committed = self.oracle.borrow().groups.committed(&group);
        let polled = consumer.poll(Duration::from_millis(500)).await;
        let mut oracle = self.oracle.borrow_mut();
        let metadata = consumer.group_metadata();
        let who = (metadata.generation_id, metadata.member_id);
        if who != assignment.who {
            *assignment = Assignment { who, committed, next: BTreeMap::new() };
            let (generation, member) = &assignment.who;
            for at in consumer.assignment() {
                oracle.groups.on_assigned(&group, *generation, at.partition, member);
            }
            oracle.counts.assignments += u64::from(!consumer.assignment().is_empty());
        }
        let records = match polled {
            Ok(records) => records,
            Err(error) => {
                self.trace.note("group", error.to_string().as_bytes());
                return None;
            }
        };
        for record in &records {
            let (partition, offset) = (record.partition.partition, record.offset.0);
            match assignment.next.insert(partition, offset + 1) {
                Some(next) if offset >= next => {
                    assert_eq!(offset, next, "{group}: in {}", record.partition);
                }
                // It began, or began again: a new coordinator does not know that a rebalance was under way, and
                // may give who joins again the same partitions in the same generation.
                _ => {
                    let at_least = assignment.committed.get(&partition).copied().unwrap_or(0);
                    oracle.groups.on_begin(&group, partition, offset, at_least);
                }
            }
            oracle.groups.on_read(&group, partition, offset);
            let value = record.value.clone().unwrap_or_default();
            oracle.on_read(LINES.name, partition, offset, &value);
        }
        Some(records)
    }

    async fn commit_group(&self, consumer: &mut GroupConsumer, assignment: &Assignment) {
        let group = consumer.group_metadata().group_id;
        let next = assignment.next.clone();
        let committed = consumer.commit().await;
        let mut oracle = self.oracle.borrow_mut();
        match committed {
            // While a rebalance is on there is nobody as whom to commit, and nothing is said of it.
            Ok(()) if !next.is_empty() => {
                oracle.counts.commits += 1;
                oracle.groups.on_committed(&group, &next);
            }
            Ok(()) => {}
            Err(error) => self.trace.note("commit", error.to_string().as_bytes()),
        }
    }
}

/// A member of the group of its client.
pub(crate) fn group_consumer(client: &kalda_client::Client) -> GroupConsumer {
    client.group_consumer([LINES.name.to_owned()]).expect("the settings hold")
}
