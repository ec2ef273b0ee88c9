//! A consumer in a group: the coordinator shares the topics' partitions out among the members, and
//! keeps what they commit.
//!
//! [`GroupConsumer`] reads through the [`Consumer`] that it owns. A task of its own keeps it in the
//! group between polls, and ends with it.

pub(crate) mod assignor;
mod membership;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::{ConsumedRecord, Consumer, Seek};
use crate::cluster::Cluster;
use crate::config::{ConsumerConfig, GroupConfig, OffsetReset};
use crate::coordinator;
use crate::group_offsets::{
    self, CommittedOffset, CommittedOffsets, Committer, ConsumerGroupMetadata, Wanted,
};
use crate::{Error, Result};

use membership::{Membership, Revocation};
use task::{Attention, GroupEvent, Notice, Presence, Task};

/// How long closing waits for the last commit and for leaving, at most.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads topics as a member of the group `group.id`.
///
/// Positions are committed every `auto.commit.interval.ms` and before partitions are given up,
/// unless `enable.auto.commit` is off. A record counts as read when the poll after the one that
/// returned it begins.
#[derive(Debug)]
pub struct GroupConsumer {
    group: GroupConfig,
    /// The ways to the coordinator, apart from those of the records: a heartbeat or a commit must
    /// not wait behind a fetch.
    cluster: Arc<Cluster>,
    consumer: Consumer,
    presence: Arc<Presence>,
    events: mpsc::UnboundedReceiver<GroupEvent>,
    notices: mpsc::UnboundedSender<Notice>,
    closing: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    /// An event whose handling a dropped poll has cut short.
    unfinished: Option<GroupEvent>,
    /// As whom to commit; `None` while nothing is assigned.
    committer: Option<Committer>,
    assigned: Vec<TopicPartition>,
    /// The leader epoch of the last record returned, to be committed beside the position.
    epochs: BTreeMap<TopicPartition, i32>,
    /// The automatic commit on its way, if any, and when the next is due.
    commits: JoinSet<Result<()>>,
    commit_at: Instant,
    /// What was last committed, or is the position that was found committed.
    committed: BTreeMap<TopicPartition, i64>,
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl GroupConsumer {
    pub(crate) fn start(
        group: GroupConfig,
        config: ConsumerConfig,
        cluster: Arc<Cluster>,
        topics: Vec<String>,
    ) -> Self {
        let consumer = Consumer::new(config.clone(), Arc::clone(&cluster));
        let cluster = Arc::new(Cluster::new(cluster.config().clone(), cluster.world().clone()));
        let presence = Arc::new(Presence::new());
        let (event_sender, events) = mpsc::unbounded_channel();
        let (notices, notice_receiver) = mpsc::unbounded_channel();
        let (closing, closed) = oneshot::channel();
        let rack = Some(config.client_rack.clone()).filter(|rack| !rack.is_empty());
        let max_age_ms = config.client.metadata_max_age_ms;
        let task = Task {
            cluster: Arc::clone(&cluster),
            auto_create: consumer.auto_create(),
            group: group.group_id.clone(),
            membership: Membership::new(group.clone(), topics, rack, max_age_ms),
            presence: Arc::clone(&presence),
            coordinator: None,
            events: event_sender,
            notices: notice_receiver,
        };
        Self {
            group,
            cluster,
            consumer,
            presence,
            events,
            notices,
            closing: Some(closing),
            task: tokio::spawn(task.run(closed)),
            unfinished: None,
            committer: None,
            assigned: Vec::new(),
            epochs: BTreeMap::new(),
            commits: JoinSet::new(),
            commit_at: Instant::now(),
            committed: BTreeMap::new(),
        }
    }

    /// The partitions that are ours now.
    #[must_use]
    pub fn assignment(&self) -> &[TopicPartition] {
        &self.assigned
    }

    /// As whom a transaction commits offsets for the partitions that are ours now.
    #[must_use]
    pub fn group_metadata(&self) -> ConsumerGroupMetadata {
        let committer = self.committer.clone().unwrap_or_else(Committer::outsider);
        ConsumerGroupMetadata::of(&self.group.group_id, committer)
    }

    /// The next records; none when `wait` is over before one came. Rebalances happen in here.
    ///
    /// # Errors
    /// The group or the broker refuses for good, or a record is corrupt.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>> {
        let deadline = Instant::now() + wait;
        if self.presence.set(true) == Attention::Wanted {
            // A task that is gone has said why.
            let _ = self.notices.send(Notice::Polled);
        }
        let outcome = self.poll_until(deadline).await;
        self.presence.set(false);
        outcome
    }

    async fn poll_until(&mut self, deadline: Instant) -> Result<Vec<ConsumedRecord>> {
        loop {
            while let Some(event) = self.unfinished.take().or_else(|| self.events.try_recv().ok()) {
                self.on_event(event).await?;
            }
            self.commit_if_due();
            let left = deadline.saturating_duration_since(Instant::now());
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => self.unfinished = Some(event),
                Some(done) = self.commits.join_next(), if !self.commits.is_empty() => {
                    self.on_committed(done.unwrap_or(Err(Error::Closed)));
                }
                () = sleep_until(self.commit_at), if self.can_commit() => {}
                records = self.consumer.poll(left) => {
                    let records = records?;
                    self.remember_epochs(&records);
                    return Ok(records);
                }
            }
        }
    }

    async fn on_event(&mut self, event: GroupEvent) -> Result<()> {
        // Put back while it is being handled, for a poll may be dropped at every await.
        self.unfinished = Some(event.clone());
        let outcome = match event {
            GroupEvent::Assigned(committer, partitions) => {
                self.on_assigned(committer, partitions).await
            }
            GroupEvent::Revoke(revocation) => {
                self.on_revoke(revocation).await;
                Ok(())
            }
            GroupEvent::Failed(error) => Err(error),
        };
        self.unfinished = None;
        outcome
    }

    async fn on_assigned(
        &mut self,
        committer: Committer,
        partitions: Vec<TopicPartition>,
    ) -> Result<()> {
        let committed = self.fetch_committed(&partitions).await?;
        self.consumer.assign(partitions.iter().cloned());
        let mut without = Vec::new();
        for partition in &partitions {
            match committed.get(partition) {
                Some(at) => self.consumer.seek_committed(partition, at)?,
                None => without.push(partition.to_string()),
            }
        }
        self.epochs = committed
            .iter()
            .filter_map(|(partition, at)| Some((partition.clone(), at.leader_epoch?)))
            .collect();
        self.committed =
            committed.into_iter().map(|(partition, at)| (partition, at.offset)).collect();
        self.committer = Some(committer);
        self.assigned = partitions;
        self.commit_at = Instant::now() + self.commit_interval();
        if !without.is_empty() && self.consumer.config.auto_offset_reset == OffsetReset::None {
            let without = without.join(", ");
            let message =
                format!("Undefined offset with no reset policy for partitions: [{without}]");
            return Err(Error::InvalidArgument(message));
        }
        Ok(())
    }

    async fn fetch_committed(&self, partitions: &[TopicPartition]) -> Result<CommittedOffsets> {
        if partitions.is_empty() {
            return Ok(CommittedOffsets::new());
        }
        self.with_retries(async || {
            let (_, connection) = coordinator::reach(&self.cluster, &self.group.group_id).await?;
            let wanted = Wanted::Stable(partitions);
            group_offsets::fetch(&connection, &self.group.group_id, wanted).await
        })
        .await
    }

    async fn on_revoke(&mut self, revocation: Revocation) {
        if revocation == Revocation::InOrder && self.group.auto_commit_interval_ms.is_some() {
            // A commit on its way must not arrive after this one.
            while let Some(done) = self.commits.join_next().await {
                self.on_committed(done.unwrap_or(Err(Error::Closed)));
            }
            if let Err(error) = self.commit().await {
                tracing::warn!("positions could not be committed before a rebalance: {error}");
            }
        }
        self.commits.abort_all();
        self.consumer.assign([]);
        self.assigned.clear();
        self.epochs.clear();
        self.committed.clear();
        self.committer = None;
        // A task that is gone has said why.
        let _ = self.notices.send(Notice::Revoked);
    }

    /// Reads on elsewhere, until the next rebalance.
    ///
    /// # Errors
    /// The partition is not ours.
    pub fn seek(&mut self, partition: &TopicPartition, to: Seek) -> Result<()> {
        self.consumer.seek(partition, to)
    }

    /// Commits the positions of all our partitions.
    ///
    /// # Errors
    /// As the coordinator says; the partitions may belong to somebody else by now.
    pub async fn commit(&mut self) -> Result<()> {
        let offsets = self.positions();
        let Some(committer) = self.committer.clone().filter(|_| !offsets.is_empty()) else {
            return Ok(());
        };
        let group = &self.group.group_id;
        self.with_retries(async || {
            let (_, connection) = coordinator::reach(&self.cluster, group).await?;
            group_offsets::commit(&connection, group, &committer, &offsets).await
        })
        .await?;
        self.committed.extend(offsets.into_iter().map(|(at, committed)| (at, committed.offset)));
        Ok(())
    }

    /// Commits if that is automatic, leaves the group, and ends.
    ///
    /// # Errors
    /// The last commit failed.
    pub async fn close(mut self) -> Result<()> {
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        let mut outcome = Ok(());
        if self.group.auto_commit_interval_ms.is_some() {
            while self.commits.join_next().await.is_some() {}
            outcome = timeout_at(deadline, self.commit()).await.unwrap_or_else(|_| {
                Err(Error::Timeout("The last commit was not answered in time.".to_owned()))
            });
        }
        if let Some(closing) = self.closing.take() {
            // A task that has ended has left already, or has nothing to leave.
            let _ = closing.send(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if timeout(left, &mut self.task).await.is_err() {
            tracing::warn!("the group {} could not be left in time", self.group.group_id);
        }
        outcome
    }

    /// The positions that are known, with the epochs of the records before them.
    fn positions(&self) -> CommittedOffsets {
        let position = |partition: &TopicPartition| {
            let offset = self.consumer.position(partition)?.0;
            let leader_epoch = self.epochs.get(partition).copied();
            let committed = CommittedOffset { leader_epoch, ..CommittedOffset::at(offset) };
            Some((partition.clone(), committed))
        };
        self.assigned.iter().filter_map(position).collect()
    }

    fn remember_epochs(&mut self, records: &[ConsumedRecord]) {
        for (index, record) in records.iter().enumerate() {
            let next = records.get(index + 1);
            let is_last = next.is_none_or(|next| next.partition != record.partition);
            if is_last {
                self.epochs.insert(record.partition.clone(), record.leader_epoch.0);
            }
        }
    }

    fn commit_interval(&self) -> Duration {
        Duration::from_millis(self.group.auto_commit_interval_ms.unwrap_or_default())
    }

    /// Whether an automatic commit may be started.
    fn can_commit(&self) -> bool {
        let is_automatic = self.group.auto_commit_interval_ms.is_some();
        is_automatic && self.committer.is_some() && self.commits.is_empty()
    }

    fn commit_if_due(&mut self) {
        let now = Instant::now();
        if !self.can_commit() || now < self.commit_at {
            return;
        }
        self.commit_at = now + self.commit_interval();
        let offsets = self.positions();
        let has_moved = offsets.iter().any(|(at, to)| self.committed.get(at) != Some(&to.offset));
        let Some(committer) = self.committer.clone().filter(|_| has_moved) else { return };
        self.committed.extend(offsets.iter().map(|(at, to)| (at.clone(), to.offset)));
        let (cluster, group) = (Arc::clone(&self.cluster), self.group.group_id.clone());
        self.commits.spawn(async move {
            let (_, connection) = coordinator::reach(&cluster, &group).await?;
            group_offsets::commit(&connection, &group, &committer, &offsets).await
        });
    }

    fn on_committed(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            // The next one commits no less.
            self.committed.clear();
            tracing::warn!(
                "an automatic commit of the group {} failed: {error}",
                self.group.group_id
            );
        }
    }

    async fn with_retries<T>(&self, attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
        let allowed = Duration::from_millis(self.cluster.config().default_api_timeout_ms);
        let deadline = Instant::now() + allowed;
        let mut failures = 0;
        loop {
            let timed_out = || Error::Timeout("The group coordinator did not answer.".to_owned());
            let error = match timeout_at(deadline, attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(_) => return Err(timed_out()),
            };
            let is_busy = error.code() == Some(ErrorCode::UnstableOffsetCommit);
            if !(error.is_retriable() || is_busy) {
                return Err(error);
            }
            failures += 1;
            let wait = self.cluster.retry_wait(failures);
            if Instant::now() + wait >= deadline {
                return Err(error);
            }
            sleep(wait).await;
        }
    }
}
