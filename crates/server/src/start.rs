//! From settings to a serving broker, and back to a clean stop.

mod cluster_id;
mod directories;
mod metadata;
mod node;
mod observed;
mod stop;

pub(crate) use directories::OpenedDirectories;
pub(crate) use metadata::host_partitions;
pub use node::Node;
pub use observed::{ObservedPartition, Observer};

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use kalda_coordinator::GroupShard;
use kalda_net::Listener;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::broker::{BoundListener, Broker, Parts, Stop, World};
use crate::config::{AdvertisedHost, BrokerConfig};
use crate::coordinators::run_timers;
use crate::listener::{ConnectionLimits, bind};
use crate::quorum::{QuorumHandle, QuorumLoop, QuorumParts, SharedMetadataLog};
use crate::shard::{self, Shard, ShardHandle};
use crate::tasks::broker_lifecycle::Lifecycle;
use crate::tasks::cleaner::Cleaner;
use crate::tasks::metadata_publisher::Publication;
use crate::tasks::{
    alter_partition, assign_directories, broker_lifecycle, controller_registration, damage,
    housekeeping, metadata_publisher, replica_fetcher,
};
use crate::transactions;

/// Requests may hold this much memory unless `queued.max.request.bytes` says otherwise.
const REQUEST_MEMORY_DEFAULT: usize = 512 * 1024 * 1024;

/// Why a broker does not start or cannot go on: one line that says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// A running broker.
pub struct Server {
    broker: Arc<Broker>,
    threads: Vec<JoinHandle<()>>,
    metadata_log: Arc<SharedMetadataLog>,
}

impl Server {
    /// Starts a broker on the real clock, disk and network.
    ///
    /// # Errors
    /// A directory or an address cannot be used, or the data cannot be trusted.
    pub fn start(config: BrokerConfig) -> Result<Self, StartError> {
        raise_open_files_limit();
        let Prepared { broker, metadata_log, first } = prepare(config, World::default())?;
        let threads = run_shards(&broker, first)?;
        Ok(Self { broker, threads, metadata_log })
    }

    /// The addresses that clients can connect to.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.for_clients().map(|bound| bound.address).collect()
    }

    /// The id of the cluster.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.broker.cluster_id
    }

    /// Each listener: its name, the address that it is bound to, and what a client dials.
    #[must_use]
    pub fn listeners(&self) -> Vec<(String, SocketAddr, String)> {
        let all = self.for_clients().map(|bound| {
            let dialled = match &bound.listener.advertised {
                AdvertisedHost::AsDialled => {
                    format!(
                        "localhost:{0}, from elsewhere to this machine's address:{0}",
                        bound.address.port()
                    )
                }
                AdvertisedHost::Fixed { host, port: 0 } => {
                    format!("{host}:{}", bound.address.port())
                }
                AdvertisedHost::Fixed { host, port } => format!("{host}:{port}"),
            };
            (bound.listener.name.clone(), bound.address, dialled)
        });
        all.collect()
    }

    /// For tests that look inside.
    #[cfg(test)]
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    fn for_clients(&self) -> impl Iterator<Item = &BoundListener> {
        self.broker.listeners.iter().filter(|bound| !bound.listener.is_controllers)
    }

    /// Where other nodes reach the controller of this one, if it has such a listener.
    #[must_use]
    pub fn controller_address(&self) -> Option<SocketAddr> {
        let mut all = self.broker.listeners.iter();
        all.find(|bound| bound.listener.is_controllers).map(|bound| bound.address)
    }

    /// Asks the broker to stop, from any thread, without handing over what it leads.
    pub fn stop(&self) {
        self.broker.stop.ask(None);
    }

    /// Waits until the broker has stopped, and closes everything.
    ///
    /// # Errors
    /// It had to stop, or could not close clean: the line says why.
    pub fn wait(mut self) -> Result<(), StartError> {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.broker.stop.ask(Some("a thread of the broker panicked".to_owned()));
            }
        }
        let closed = stop::close(&self.broker, &self.metadata_log);
        match self.broker.stop.failure() {
            Some(line) => Err(StartError(line)),
            None => closed.map_err(|error| StartError(error.to_string())),
        }
    }
}

/// A node that is made and does not run yet.
struct Prepared {
    broker: Arc<Broker>,
    metadata_log: Arc<SharedMetadataLog>,
    first: First,
}

/// Binds the addresses, opens the directories and the metadata log, and makes the broker.
fn prepare(config: BrokerConfig, world: World) -> Result<Prepared, StartError> {
    // Addresses first: a second broker by mistake must not touch the first one's data.
    let mut sockets = Vec::new();
    let mut listeners = Vec::new();
    let backlog = backlog(&config);
    for listener in &config.listeners {
        let socket = bind(&*world.net, listener, backlog).map_err(StartError)?;
        let address = socket.local_addr();
        listeners.push(BoundListener { listener: listener.clone(), address });
        sockets.push(socket);
    }
    let stop = Stop::default();
    let lifecycle = Arc::<Lifecycle>::default();
    let opened = directories::open(&config, &world, &stop, &lifecycle)?;
    let metadata = metadata::open(&config, &world, &opened)?;
    let (quorum, controller, events) = QuorumHandle::new();
    let metadata_log = SharedMetadataLog::new(metadata.log, quorum.clone());
    metadata.directory.set_metadata_log(&metadata_log);
    let memory = config.number("queued.max.request.bytes");
    let broker = Broker::new(Parts {
        cluster_id: opened.cluster_id.clone(),
        world,
        listeners,
        directories: opened.all.iter().map(|one| Arc::clone(&one.directory)).collect(),
        quorum,
        controller,
        request_memory_max: match usize::try_from(memory) {
            Ok(bytes) if bytes > 0 => bytes,
            _ => REQUEST_MEMORY_DEFAULT,
        },
        stop,
        lifecycle,
        config,
    });
    let (publications, published) = mpsc::unbounded_channel();
    let quorum = QuorumParts {
        log: Arc::clone(&metadata_log),
        directory: metadata.directory,
        restored: metadata.restored,
        loader: metadata.loader,
        events,
        publications: publications.clone(),
    };
    let first = First { sockets, quorum, opened, publications, published };
    Ok(Prepared { broker, metadata_log, first })
}

/// Reads from the disk that a shard has under way at once.
const COLD_READERS: usize = 8;

/// How many event loops serve clients. `num.io.threads` says it if it is set, but never more than there are
/// cores. Otherwise one core is left to the kernel's side of the network, to the flusher and the cleaner: two loops
/// that share two cores with all of that take a fifth more for a small request, and wake each other.
fn shard_count(config: &BrokerConfig) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = config.values.contains_key("num.io.threads");
    let asked = asked.then(|| usize::try_from(config.number("num.io.threads")).unwrap_or(1));
    asked.unwrap_or(cores - 1).clamp(1, cores)
}

/// Starts a thread for each event loop, and returns once the node serves.
fn run_shards(broker: &Arc<Broker>, first: First) -> Result<Vec<JoinHandle<()>>, StartError> {
    let (handles, shards): (Vec<ShardHandle>, Vec<Shard>) =
        (0..shard_count(&broker.config)).map(|_| Shard::new()).unzip();
    let (ready, is_ready) = std::sync::mpsc::channel();
    // Who waits for it may have given up; then the node is being stopped.
    let ready: Ready = Box::new(move |begun| drop(ready.send(begun)));
    let mut first = Some((first, handles, ready));
    let mut threads = Vec::new();
    for (number, shard) in shards.into_iter().enumerate() {
        let broker = Arc::clone(broker);
        let first = first.take();
        let run = move || run_shard(broker, shard, first);
        let thread = std::thread::Builder::new().name(format!("kalda-{number}")).spawn(run);
        threads
            .push(thread.map_err(|error| StartError(format!("cannot start a thread: {error}")))?);
    }
    match is_ready.recv() {
        Ok(Ok(())) => Ok(threads),
        Ok(Err(StartError(line))) => {
            // A disk that failed has said so already, and better.
            broker.stop.ask(Some(line.clone()));
            Err(StartError(broker.stop.failure().unwrap_or(line)))
        }
        Err(_) => {
            let why = broker.stop.failure();
            Err(StartError(why.unwrap_or_else(|| "asked to stop while starting".to_owned())))
        }
    }
}

/// What only the first shard runs: the quorum, the acceptors, the housekeeping.
struct First {
    sockets: Vec<Box<dyn Listener>>,
    quorum: QuorumParts,
    opened: OpenedDirectories,
    publications: mpsc::UnboundedSender<Publication>,
    published: mpsc::UnboundedReceiver<Publication>,
}

/// Told once, when the node serves or cannot.
type Ready = Box<dyn FnOnce(Result<(), StartError>) + Send>;

fn run_shard(broker: Arc<Broker>, shard: Shard, first: Option<(First, Vec<ShardHandle>, Ready)>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // Threads of a shard that wait for the disk in its place, for readers of what is not in memory.
    runtime.enable_all().max_blocking_threads(COLD_READERS);
    let runtime = match runtime.build() {
        Ok(runtime) => runtime,
        Err(error) => return broker.stop.ask(Some(format!("cannot start an event loop: {error}"))),
    };
    LocalSet::new().block_on(&runtime, async move {
        if let Some((first, handles, ready)) = first {
            tokio::task::spawn_local(stop::on_signal(Arc::clone(&broker)));
            tokio::task::spawn_local(run_first(Arc::clone(&broker), first, handles, ready));
        }
        shard.run(broker).await;
    });
}

async fn run_first(broker: Arc<Broker>, first: First, shards: Vec<ShardHandle>, ready: Ready) {
    let First { sockets, quorum, opened, publications, published } = first;
    // First the controllers: brokers, this one too, cannot begin without them.
    let limits = ConnectionLimits::new(
        broker.config.number("max.connections"),
        broker.config.number("max.connections.per.ip"),
    );
    let mut for_clients = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        let accept =
            shard::accept(Arc::clone(&broker), number, socket, Arc::clone(&limits), shards.clone());
        if broker.listeners[number].listener.is_controllers {
            spawn_essential(&broker, "an acceptor of the controller", accept);
        } else {
            for_clients.push(accept);
        }
    }
    let run = QuorumLoop::run(Arc::clone(&broker), quorum);
    spawn_essential(&broker, "the metadata quorum", run);
    let publish = metadata_publisher::run(Arc::clone(&broker), published);
    spawn_essential(&broker, "the metadata publisher", publish);
    if broker.config.roles.controller {
        let register = controller_registration::run(Arc::clone(&broker));
        spawn_essential(&broker, "the controller's registration", register);
    }
    if broker.config.roles.broker {
        let copy = replica_fetcher::run(Arc::clone(&broker));
        spawn_essential(&broker, "the replica fetchers", copy);
        let assign = assign_directories::run(Arc::clone(&broker));
        spawn_essential(&broker, "the directory assignments", assign);
        let propose = alter_partition::run(Arc::clone(&broker));
        spawn_essential(&broker, "the ISR changes", propose);
        let heal = damage::run(Arc::clone(&broker));
        spawn_essential(&broker, "the damaged replicas", heal);
    }
    let begun = match broker.config.roles.broker {
        true => broker_lifecycle::begin(&broker, opened, &publications).await,
        false => Ok(()),
    };
    let has_begun = begun.is_ok();
    if has_begun {
        serve_clients(&broker, for_clients);
    }
    ready(begun);
}

/// Starts all that runs beside the connections of clients, and lets them in.
fn serve_clients(broker: &Arc<Broker>, acceptors: Vec<impl Future<Output = ()> + 'static>) {
    if broker.config.roles.broker {
        let run = broker_lifecycle::run(Arc::clone(broker));
        spawn_essential(broker, "the broker's heartbeat", run);
        spawn_essential(broker, "the groups", run_timers::<GroupShard>(Arc::clone(broker)));
        spawn_essential(broker, "the transactions", transactions::run(Arc::clone(broker)));
        Cleaner::start(broker);
    }
    spawn_essential(broker, "the housekeeping", housekeeping::run(Arc::clone(broker)));
    for accept in acceptors {
        spawn_essential(broker, "an acceptor", accept);
    }
}

/// `socket.listen.backlog.size`. Kafka's default of 50 makes the rest of a hundred clients that come
/// at once wait for a second, which is when they knock again; what nobody asked for is more.
fn backlog(config: &BrokerConfig) -> i32 {
    const KEY: &str = "socket.listen.backlog.size";
    const DEFAULT: i32 = 1024;
    if !config.values.contains_key(KEY) {
        return DEFAULT;
    }
    i32::try_from(config.number(KEY)).unwrap_or(DEFAULT)
}

/// Runs what the broker cannot do without: if it panics the broker stops, rather than going on half
/// alive. A connection that panics costs only itself.
fn spawn_essential(
    broker: &Arc<Broker>,
    name: &'static str,
    task: impl Future<Output = ()> + 'static,
) {
    let broker = Arc::clone(broker);
    let running = tokio::task::spawn_local(task);
    tokio::task::spawn_local(async move {
        if running.await.is_err() {
            broker.stop.ask(Some(format!("{name} failed; the lines above say where")));
        }
    });
}

/// Every segment and connection is an open file: takes all that the system allows.
fn raise_open_files_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
