//! The task that keeps a consumer in its group: takes the membership's steps one by one.
//!
//! Started by [`GroupConsumer`](super::GroupConsumer), which it tells what to read, and from which it
//! hears when that was given up. It ends when told to close, when the membership fails, or by being
//! aborted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kalda_model::TopicPartition;
use kalda_protocol::messages::join_group::{JoinGroupRequest, JoinGroupResponse};
use kalda_protocol::messages::leave_group::LeaveGroupRequest;
use kalda_protocol::messages::sync_group::SyncGroupRequest;
use kalda_protocol::{ErrorCode, Request};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::assignor::PartitionCounts;
use super::membership::{Membership, Revocation, Step};
use crate::cluster::{AutoCreate, Cluster, Node};
use crate::connection::Connection;
use crate::coordinator;
use crate::group_offsets::Committer;
use crate::{Error, Result};

/// How long leaving may hold up the end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the consumer is told.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum GroupEvent {
    /// Read these, and commit as that member.
    Assigned(Committer, Vec<TopicPartition>),
    /// Give up what is being read, and say so.
    Revoke(Revocation),
    /// The membership is over.
    Failed(Error),
}

/// When the application polls, seen by both sides.
#[derive(Debug)]
pub(super) struct Presence {
    start: Instant,
    is_polling: AtomicBool,
    polled_at: AtomicI64,
    /// Whether the task waits for nothing but a poll.
    is_idle: AtomicBool,
}

/// Whether the task has to be told of a poll.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attention {
    /// It looks by itself.
    Unneeded,
    /// It waits for it.
    Wanted,
}

impl Presence {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            is_polling: AtomicBool::new(false),
            polled_at: AtomicI64::new(0),
            is_idle: AtomicBool::new(false),
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn instant(&self, at: i64) -> Option<Instant> {
        self.start.checked_add(Duration::from_millis(u64::try_from(at).unwrap_or_default()))
    }

    /// A poll begins or ends. The flags are set and read in opposite orders on the two sides, so
    /// that one of them sees the other's.
    pub(super) fn set(&self, is_polling: bool) -> Attention {
        self.polled_at.store(self.now(), Ordering::SeqCst);
        self.is_polling.store(is_polling, Ordering::SeqCst);
        match self.is_idle.load(Ordering::SeqCst) {
            true => Attention::Wanted,
            false => Attention::Unneeded,
        }
    }

    fn is_polling(&self) -> bool {
        self.is_polling.load(Ordering::SeqCst)
    }

    fn last_poll(&self) -> i64 {
        if self.is_polling() { self.now() } else { self.polled_at.load(Ordering::SeqCst) }
    }
}

/// What the consumer says to the task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Notice {
    /// Partitions have been given up.
    Revoked,
    /// A poll has begun; only of interest to a membership that went idle.
    Polled,
}

/// See the module.
pub(super) struct Task {
    pub(super) cluster: Arc<Cluster>,
    pub(super) auto_create: AutoCreate,
    pub(super) group: String,
    pub(super) membership: Membership,
    pub(super) presence: Arc<Presence>,
    pub(super) coordinator: Option<Node>,
    pub(super) events: mpsc::UnboundedSender<GroupEvent>,
    pub(super) notices: mpsc::UnboundedReceiver<Notice>,
}

impl Task {
    /// Runs until it is told to close, and leaves the group then.
    pub(super) async fn run(mut self, mut closing: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                biased;
                // The consumer being dropped is no closing: it aborts this task.
                _ = &mut closing => break,
                can_go_on = self.take_step() => if !can_go_on { return },
            }
        }
        let Some(request) = self.membership.leave() else { return };
        match timeout(LEAVE_TIMEOUT, self.leave(request)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the group {} is left untidily: {error}", self.group),
            Err(_) => tracing::warn!("the group {} is left untidily: no answer", self.group),
        }
    }

    /// Takes the next step; false after the last.
    async fn take_step(&mut self) -> bool {
        self.membership.on_poll(self.presence.last_poll());
        let step = self.membership.next(self.presence.now());
        tracing::debug!("group {}: {step:?}", self.group);
        match step {
            Step::Find => {
                let found = coordinator::find(&self.cluster, &self.group).await;
                let outcome = found.map(|node| self.coordinator = Some(node));
                self.membership.on_found(outcome);
            }
            Step::Join(request) => {
                let outcome = self.join(&request).await;
                self.membership.on_joined(self.presence.now(), outcome);
            }
            Step::Count(topics) => {
                let outcome = self.count(topics).await;
                self.membership.on_counts(self.presence.now(), outcome);
            }
            Step::Sync(request) => {
                let outcome = self.sync(&request).await;
                self.membership.on_synced(self.presence.now(), outcome);
            }
            Step::Heartbeat(request) => {
                let outcome = self.ask(&request).await;
                let outcome = outcome.and_then(|answer| Error::check(answer.error_code, None));
                self.membership.on_heartbeat(self.presence.now(), outcome);
            }
            Step::Leave(request) => {
                tracing::warn!(
                    "the group {} is left: the time between polls was longer than max.poll.interval.ms",
                    self.group
                );
                if let Err(error) = self.leave(request).await {
                    tracing::warn!("leaving the group {} failed: {error}", self.group);
                }
            }
            Step::Revoke(revocation) => self.tell(GroupEvent::Revoke(revocation)),
            Step::Assign(partitions) => {
                self.tell(GroupEvent::Assigned(self.membership.committer(), partitions));
            }
            Step::Rest(failures) => sleep(self.cluster.retry_wait(failures)).await,
            Step::Wait(until) => self.wait(until).await,
            Step::Fail(error) => {
                self.tell(GroupEvent::Failed(error));
                return false;
            }
        }
        true
    }

    fn tell(&self, event: GroupEvent) {
        // The consumer being gone ends this task, too.
        let _ = self.events.send(event);
    }

    async fn wait(&mut self, until: i64) {
        self.presence.is_idle.store(until == i64::MAX, Ordering::SeqCst);
        if until == i64::MAX && self.membership.is_idle() && self.presence.is_polling() {
            return self.presence.is_idle.store(false, Ordering::SeqCst);
        }
        let until = self.presence.instant(until);
        let rest = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            notice = self.notices.recv() => match notice {
                Some(Notice::Revoked) => self.membership.on_revoked(),
                Some(Notice::Polled) => {}
                // The consumer is gone, and with it this task.
                None => std::future::pending().await,
            },
            () = rest => {}
        }
        self.presence.is_idle.store(false, Ordering::SeqCst);
    }

    async fn connection(&self) -> Result<Arc<Connection>> {
        coordinator::connect(&self.cluster, self.node()?).await
    }

    async fn ask<R: Request>(&self, request: &R) -> Result<R::Response> {
        self.connection().await?.call(request).await
    }

    /// Joins on a connection of its own: the coordinator keeps the answer back until the others have
    /// joined, and on a shared connection everything behind it would wait as well.
    async fn join(&self, request: &JoinGroupRequest) -> Result<JoinGroupResponse> {
        let patience_ms = u64::try_from(request.rebalance_timeout_ms).unwrap_or_default();
        self.own_connection(patience_ms).await?.call(request).await
    }

    /// Syncs on a connection of its own, too: the answer waits for the leader's assignments.
    async fn sync(&self, request: &SyncGroupRequest) -> Result<Bytes> {
        let answer = self.own_connection(0).await?.call(request).await?;
        Error::check(answer.error_code, None)?;
        Ok(answer.assignment)
    }

    /// A connection that waits that much longer for answers than the request timeout says.
    async fn own_connection(&self, patience_ms: u64) -> Result<Arc<Connection>> {
        let mut config = self.cluster.config().clone();
        config.request_timeout_ms = config.request_timeout_ms.saturating_add(patience_ms);
        Connection::open(&*self.cluster.world().net, &self.node()?.address, &config).await
    }

    fn node(&self) -> Result<&Node> {
        self.coordinator.as_ref().ok_or_else(|| ErrorCode::CoordinatorNotAvailable.into())
    }

    async fn leave(&self, request: LeaveGroupRequest) -> Result<()> {
        let connection = self.connection().await?;
        let version = connection.version::<LeaveGroupRequest>(i16::MAX)?;
        // Up to version 2 one member leaves, from 3 on a list of them.
        let request = match version {
            ..3 => LeaveGroupRequest { members: Vec::new(), ..request },
            3.. => LeaveGroupRequest { member_id: String::new(), ..request },
        };
        let answer = connection.start(&request, version)?.answer(&connection).await?;
        Error::check(answer.error_code, None)
    }

    async fn count(&self, topics: Vec<String>) -> Result<PartitionCounts> {
        self.cluster.refresh(Some(topics.clone()), self.auto_create).await?;
        Ok(self.cluster.with_metadata(|metadata| {
            let count = |topic: String| {
                let count = metadata.topic(&topic)?.partition_count();
                Some((topic, count))
            };
            topics.into_iter().filter_map(count).collect()
        }))
    }
}
