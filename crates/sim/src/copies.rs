//! A copy of the lines, made by a group whose offsets are part of its transactions: exactly once.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kalda_client::{
    CommittedOffset, CommittedOffsets, ConsumedRecord, Error, GroupConsumer, Producer, Record,
    Result, Seek,
};
use tokio::time::{sleep, timeout};

use crate::chance::Chance;
use crate::group::{Assignment, group_consumer};
use crate::lines::{LINES, producer_of};
use crate::oracle::Fate;
use crate::workload::{Content, Phase, Topic, Workload};

/// The copy: partition by partition the same values in the same order.
pub(crate) const COPIES: Topic = Topic {
    name: "copies",
    partitions: LINES.partitions,
    is_dense: false,
    content: Content::Copies,
};
/// The group that copies.
pub(crate) const COPIERS: &str = "copiers";
/// How many members it has.
pub(crate) const COPIER_COUNT: u64 = 2;
/// The time of an orderly leave.
const LEAVE_MAX: Duration = Duration::from_secs(2);

impl Workload {
    /// Copies, with a producer and a membership that are replaced when they fail.
    pub(crate) async fn copy(self: Rc<Self>, copier: u64) {
        let chance = Chance::of(self.seed, 9_000_000 + copier);
        let producing = self.transactional_client(COPIERS, copier);
        let name = format!("copier-{copier}");
        let consuming = self.member_client(COPIERS, &name, 60 + copier);
        while self.phase.get() != Phase::Over {
            let producer = producer_of(&producing);
            if let Err(error) = producer.init_transactions().await {
                self.trace.note("init", error.to_string().as_bytes());
                sleep(Duration::from_millis(chance.between(50, 500))).await;
                continue;
            }
            let mut consumer = group_consumer(&consuming);
            let mut assignment = Assignment::default();
            let mut turns = chance.between(30, 200);
            while turns > 0 || self.phase.get() != Phase::Trouble {
                turns = turns.saturating_sub(1);
                let polled = self.poll_group(&mut consumer, &mut assignment).await;
                if self.phase.get() == Phase::Over {
                    return;
                }
                let Some(records) = polled else { break };
                if records.is_empty() {
                    continue;
                }
                // Committed or not: an abort has it all read again.
                let commits = self.phase.get() != Phase::Trouble || chance.percent(80);
                let copied = self.copy_once(&producer, &mut consumer, &records, commits).await;
                let fate = match &copied {
                    Ok(()) if commits => Fate::Committed,
                    Ok(()) => Fate::Aborted,
                    Err(_) => Fate::InDoubt,
                };
                self.oracle.borrow_mut().on_copied(&records, fate);
                if let Err(error) = copied {
                    self.trace.note("copy", error.to_string().as_bytes());
                    break;
                }
                if fate == Fate::Aborted {
                    self.read_again(&mut consumer, &mut assignment, &records);
                }
                sleep(Duration::from_millis(chance.between(20, 300))).await;
            }
            let _left = timeout(LEAVE_MAX, consumer.close()).await;
        }
    }

    /// One transaction: the copies of some records, and that the group is behind them.
    async fn copy_once(
        &self,
        producer: &Producer,
        consumer: &mut GroupConsumer,
        records: &[ConsumedRecord],
        commits: bool,
    ) -> Result<()> {
        let group = consumer.group_metadata();
        producer.begin_transaction()?;
        let mut offsets = CommittedOffsets::new();
        for record in records {
            let at = &record.partition;
            let copy = Record { partition: Some(at.partition), ..Record::to(COPIES.name) };
            let copy = copy.value(record.value.clone().unwrap_or_default());
            // Its end waits for all of them.
            drop(producer.send(copy).await?);
            // Who begins there must not take the word of a leader of before (KIP-320).
            let leader_epoch = Some(record.leader_epoch.0);
            let next = CommittedOffset { leader_epoch, ..CommittedOffset::at(record.offset.0 + 1) };
            offsets.insert(at.clone(), next);
        }
        producer.send_offsets(&offsets, &group).await?;
        if !commits {
            return producer.abort_transaction().await;
        }
        match producer.commit_transaction().await {
            // Nobody knows yet: it may be asked again.
            Err(Error::Timeout(_)) => producer.commit_transaction().await,
            ended => ended,
        }
    }

    /// What was not copied is read once more, if it is still this member's.
    fn read_again(
        &self,
        consumer: &mut GroupConsumer,
        assignment: &mut Assignment,
        records: &[ConsumedRecord],
    ) {
        let mut first = BTreeMap::new();
        for record in records.iter().rev() {
            first.insert(record.partition.clone(), record.offset.0);
        }
        for (at, offset) in first {
            // Somebody else's by now: that one begins where it is committed.
            if consumer.seek(&at, Seek::Offset(offset)).is_ok() {
                assignment.next.insert(at.partition, offset);
            }
        }
    }
}
