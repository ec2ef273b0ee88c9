//! One thread with one event loop: it owns the connections that it was given.
//!
//! There is about one shard for each core. A connection never moves, and what it waits for elsewhere
//! (another shard's append, a flusher) wakes it through its own loop.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kalda_net::{Idle, Listener};
use tokio::sync::{Notify, mpsc};

use crate::broker::Broker;
use crate::connection::{Connection, Ended, Peer};
use crate::listener::{ConnectionLimits, ConnectionPlace};

/// How often idle and stuck connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// The least of it, however short `connections.max.idle.ms` is.
const SWEEP_EVERY_MIN: Duration = Duration::from_millis(100);
/// How long answers in flight may take to leave when the broker stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A client that was let in.
pub(crate) struct Accepted {
    stream: Idle,
    remote: SocketAddr,
    listener: usize,
    place: ConnectionPlace,
}

/// How the acceptors reach a shard.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    sender: mpsc::UnboundedSender<Accepted>,
    connections: Arc<AtomicUsize>,
}

/// A shard before it runs.
pub(crate) struct Shard {
    receiver: mpsc::UnboundedReceiver<Accepted>,
    connections: Arc<AtomicUsize>,
}

impl Shard {
    pub(crate) fn new() -> (ShardHandle, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let handle = ShardHandle { sender, connections: Arc::clone(&connections) };
        (handle, Self { receiver, connections })
    }

    /// Serves its connections until the broker stops and their last answers have left.
    pub(crate) async fn run(mut self, broker: Arc<Broker>) {
        let room = Rc::new(Room::new(Arc::clone(&self.connections)));
        let sweep = tokio::task::spawn_local(sweep(Arc::clone(&broker), Rc::clone(&room)));
        let mut number = 0_u64;
        loop {
            let accepted = tokio::select! {
                biased;
                () = broker.stopping() => None,
                accepted = self.receiver.recv() => accepted,
            };
            let Some(accepted) = accepted else { break };
            number += 1;
            self.spawn(&broker, &room, number, accepted);
        }
        sweep.abort();
        room.close_all();
        if tokio::time::timeout(DRAIN_MAX, room.emptied()).await.is_err() {
            tracing::warn!("{} connections did not take their answers in time", room.len());
        }
    }

    fn spawn(&self, broker: &Arc<Broker>, room: &Rc<Room>, number: u64, accepted: Accepted) {
        let Accepted { stream, remote, listener, place } = accepted;
        let opened = stream.watch().and_then(|stream| {
            stream.set_nodelay()?;
            let local = stream.local_addr()?;
            Ok((stream, local))
        });
        let (stream, local) = match opened {
            Ok(opened) => opened,
            // The client left before it was served.
            Err(error) => return tracing::debug!(%remote, %error, "connection lost"),
        };
        let peer = Peer::new(remote, local, listener, broker.clock.monotonic_ms());
        room.enter(number, &peer);
        let mut connection = Connection::new(Arc::clone(broker), stream, peer);
        let room = Rc::clone(room);
        // What the task owns it owns for as long as its client stays, idle or not: as little as can be.
        tokio::task::spawn_local(async move {
            let ended = connection.run().await;
            report(connection.peer().remote, &ended);
            connection.left();
            drop((connection, place));
            room.leave(number);
        });
    }
}

/// A client that goes away is nothing to report; one that is refused is, once per connection.
fn report(remote: SocketAddr, ended: &Result<(), Ended>) {
    match ended {
        Ok(()) => {}
        Err(Ended::Io(error)) => tracing::debug!(%remote, %error, "connection lost"),
        Err(Ended::Frame(error)) => tracing::warn!("closed the connection of {remote}: {error}"),
        Err(Ended::Refused(error)) => tracing::warn!("closed the connection of {remote}: {error}"),
    }
}

/// The connections of one shard.
struct Room {
    peers: RefCell<BTreeMap<u64, Arc<Peer>>>,
    /// How many they are, for those who choose a shard.
    connections: Arc<AtomicUsize>,
    left: Notify,
}

impl Room {
    fn new(connections: Arc<AtomicUsize>) -> Self {
        Self { peers: RefCell::default(), connections, left: Notify::new() }
    }

    fn enter(&self, number: u64, peer: &Arc<Peer>) {
        self.peers.borrow_mut().insert(number, Arc::clone(peer));
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self, number: u64) {
        self.peers.borrow_mut().remove(&number);
        self.connections.fetch_sub(1, Ordering::Relaxed);
        self.left.notify_one();
    }

    fn len(&self) -> usize {
        self.peers.borrow().len()
    }

    fn close_all(&self) {
        for peer in self.peers.borrow().values() {
            peer.close();
        }
    }

    async fn emptied(&self) {
        while self.len() > 0 {
            self.left.notified().await;
        }
    }
}

/// Closes connections that have been idle for `connections.max.idle.ms`, and those that have begun
/// a request and not gone on with it for `request.timeout.ms`.
async fn sweep(broker: Arc<Broker>, room: Rc<Room>) {
    // Negative: never.
    let idle_ms_max = match broker.config.number("connections.max.idle.ms") {
        never if never < 0 => i64::MAX,
        idle_ms_max => idle_ms_max,
    };
    let stuck_ms_max = broker.config.number("request.timeout.ms");
    let idle_max = Duration::from_millis(u64::try_from(idle_ms_max).unwrap_or(u64::MAX));
    let every = SWEEP_EVERY.min(idle_max).max(SWEEP_EVERY_MIN);
    loop {
        tokio::time::sleep(every).await;
        let now_ms = broker.clock.monotonic_ms();
        for peer in room.peers.borrow().values() {
            let silent_ms = now_ms - peer.active_ms();
            let allowed_ms =
                if peer.is_mid_frame() { stuck_ms_max.min(idle_ms_max) } else { idle_ms_max };
            if !peer.is_served() && silent_ms > allowed_ms {
                peer.cut();
            }
        }
    }
}

/// Lets clients in and spreads them over the shards, until the broker stops.
pub(crate) async fn accept(
    broker: Arc<Broker>,
    listener: usize,
    mut socket: Box<dyn Listener>,
    limits: Arc<ConnectionLimits>,
    shards: Vec<ShardHandle>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = broker.stopping() => return,
            accepted = socket.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait for a connection to end.
                tracing::warn!(%error, "cannot accept a connection; raise the limit of open files");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = limits.admit(remote.ip()) else {
            tracing::warn!(
                "refused {remote}: max.connections or max.connections.per.ip is reached"
            );
            continue;
        };
        let emptiest = shards.iter().min_by_key(|shard| shard.connections.load(Ordering::Relaxed));
        if let (Some(shard), Ok(stream)) = (emptiest, stream.into_idle()) {
            // A shard that is gone means that the broker stops.
            let _stopping = shard.sender.send(Accepted { stream, remote, listener, place });
        }
    }
}
