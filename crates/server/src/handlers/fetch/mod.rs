//! Fetch (key 1, v4–18): records of many partitions, waiting for them if need be. v7 adds sessions
//! (KIP-227), v9 leader epochs (KIP-320), v12 divergence, v13 topic ids (KIP-516), v15 the replica's
//! state (KIP-903).
//!
//! Records are never decoded and never copied into this process: what is answered are ranges of
//! segment files.

mod encode;
mod plan;
mod session;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kalda_model::{BrokerEpoch, BrokerId, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::Message as _;
use kalda_protocol::messages::fetch::FetchRequest;

pub(crate) use session::FetchSessions;

use crate::connection::Answer;
use crate::dispatch::{Refusal, RequestContext};
use crate::hosted::{FetchedRecords, Isolation, ParkedFetch, Watch, Who};
use plan::{Outcome, Read};
use session::{Opening, SessionHandle};

/// First version whose consumers may be served by followers (KIP-392).
const FOLLOWERS: i16 = 11;
/// First version in which a replica says under which registration it asks.
const REPLICA_STATE: i16 = 15;
/// How long a replica that waits for records may not know of a new high watermark. At any rate of produces above its
/// inverse it comes along with the next records; below, one empty answer more is nothing.
const HIGH_WATERMARK_DELAY: std::time::Duration = std::time::Duration::from_millis(10);

/// A topic as the request names it: by name up to v12, by id from v13 on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum TopicRef {
    Name(Arc<str>),
    Id(Uuid),
}

/// One partition that a client wants to read.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) fetch_offset: i64,
    pub(crate) last_fetched_epoch: i32,
    /// Where a replica's own log starts; -1 for others.
    pub(crate) log_start_offset: i64,
    pub(crate) max_bytes: usize,
    /// What its session is told through, if there is a session.
    pub(crate) watch: Option<Arc<Watch>>,
}

/// What one partition is answered.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    pub(crate) error: ErrorCode,
    pub(crate) records: FetchedRecords,
}

/// Serves a fetch: on return its records are there, or its time is up.
pub(crate) async fn serve(
    cx: RequestContext,
    mut body: Bytes,
    out: BytesMut,
) -> Result<Answer, Refusal> {
    let request = FetchRequest::decode(&mut body, cx.version)?;
    let now_ms = cx.broker.clock.monotonic_ms();
    let (who, isolation) = match replica(&request, cx.version) {
        Some((id, epoch)) => (Who::Replica { id, epoch }, Isolation::LogEnd),
        None => {
            let rack = (cx.version >= FOLLOWERS).then_some(request.rack_id.as_str());
            (Who::Consumer { rack }, Isolation::from_wire(request.isolation_level))
        }
    };
    let (mut session, mut wanted) =
        match cx.broker.fetch_sessions.open(&request, cx.version, now_ms) {
            Opening::Refused(error) => return Ok(encode::refusal(cx.version, error, out)?),
            Opening::Opened { session, wanted } => (session, wanted),
        };
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0);
    let max_bytes = max_bytes.min(cx.broker.limits.fetch_max_bytes);
    let read = Read {
        broker: &cx.broker,
        max_bytes,
        // More than it may be given is not waited for.
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        isolation,
        who,
    };
    let is_replica = matches!(who, Who::Replica { .. });
    let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
    let mut deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(wait_ms);
    let fetched = loop {
        let Outcome { fetched, is_ready, missing_bytes, is_throttled } = read.once(&wanted);
        // A session without anything new waits for it; without partitions there is nothing to wait for.
        let is_ready = is_ready || wanted.is_empty() && session.is_empty();
        if is_ready
            || wait_ms == 0
            || tokio::time::Instant::now() >= deadline
            || cx.peer.is_closing()
        {
            break fetched;
        }
        if isolation == Isolation::LogEnd && session.has_news(&fetched) {
            deadline = deadline.min(tokio::time::Instant::now() + HIGH_WATERMARK_DELAY);
        }
        if is_throttled {
            deadline = deadline.min(tokio::time::Instant::now() + refill(&cx));
        }
        let parked = ParkedFetch::new(missing_bytes);
        // Taken back even if the connection is cut while it waits.
        let waiting = Waiting { read: &read, wanted: &wanted, session: &session, parked: &parked };
        if waiting.begin(&fetched) {
            // Whatever ends the wait, the next round reads what is there.
            tokio::select! {
                biased;
                () = cx.broker.stopping() => {}
                () = parked.woken() => {}
                () = hurried(&parked, &mut deadline) => {}
            }
        }
        drop(waiting);
        session.add_marked(&mut wanted);
        if cx.broker.is_stopping() {
            break read.once(&wanted).fetched;
        }
    };
    if is_replica {
        let bytes = Outcome::throttled_bytes(&fetched);
        cx.broker.replication_quotas.leader.on_passed(bytes, cx.broker.clock.monotonic_ms());
    }
    let answered = session.answer(fetched, now_ms);
    Ok(encode::response(cx.version, session.id(), &answered, out)?)
}

/// How long until throttled replicas may be sent something again.
fn refill(cx: &RequestContext) -> std::time::Duration {
    let quota = &cx.broker.replication_quotas.leader;
    let ms = quota.ready_in_ms(cx.broker.clock.monotonic_ms());
    std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Ends at the deadline; which comes nearer when the high watermark moves under a replica that waits.
async fn hurried(parked: &ParkedFetch, deadline: &mut tokio::time::Instant) {
    tokio::select! {
        biased;
        () = tokio::time::sleep_until(*deadline) => return,
        () = parked.hurried() => {}
    }
    *deadline = (*deadline).min(tokio::time::Instant::now() + HIGH_WATERMARK_DELAY);
    tokio::time::sleep_until(*deadline).await;
}

/// The replica that asks, and under which registration; `None` for a consumer.
fn replica(request: &FetchRequest, version: i16) -> Option<(BrokerId, BrokerEpoch)> {
    let (id, epoch) = if version >= REPLICA_STATE {
        (request.replica_state.replica_id, request.replica_state.replica_epoch)
    } else {
        (request.replica_id, -1)
    };
    (id >= 0).then_some((BrokerId(id), BrokerEpoch(epoch)))
}

/// A fetch that waits, until dropped: at its session, which its partitions tell, or at each of its partitions.
struct Waiting<'a> {
    read: &'a Read<'a>,
    wanted: &'a [Wanted],
    session: &'a SessionHandle,
    parked: &'a Arc<ParkedFetch>,
}

impl Waiting<'_> {
    /// `false` when there is more already than was `seen`.
    fn begin(&self, seen: &[Fetched]) -> bool {
        match self.session.signals() {
            Some(signals) => signals.park(self.parked, self.read.isolation),
            None => self.read.park(self.wanted, seen, self.parked),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        match self.session.signals() {
            Some(signals) => signals.unpark(self.parked),
            None => self.read.unpark(self.wanted, self.parked),
        }
    }
}
