//! What all connections and tasks of a broker share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI16, AtomicI64, Ordering};
use std::time::Duration;

use kalda_client::HostPort;
use kalda_controller::Controller;
use kalda_env::{Clock, Disk, FsDisk, OsRng, Rng, SystemClock, SystemThreads, Threads};
use kalda_metadata::config::ConfigSources;
use kalda_metadata::{BrokerRegistration, Endpoint, Image, TopicImage};
use kalda_model::{BrokerEpoch, BrokerId, ClusterId, Offset};
use kalda_net::{Net, SystemNet};
use kalda_protocol::ErrorCode;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::config::{AdvertisedHost, BrokerConfig, Listener};
use crate::connection::{Peer, RequestMemory};
use crate::directory::DataDirectory;
use crate::groups::GroupCoordinator;
use crate::handlers::fetch::FetchSessions;
use crate::partitions::PartitionTable;
use crate::peer::{ActiveController, ControllerChannel, Peers};
use crate::producer_ids::ProducerIds;
use crate::quorum::{ControllerHandle, QuorumHandle};
use crate::replication_quotas::ReplicationQuotas;
use crate::tasks::alter_partition::IsrChanges;
use crate::tasks::assign_directories::DirectoryAssignments;
use crate::tasks::broker_lifecycle::Lifecycle;
use crate::tasks::cleaner::Cleaner;
use crate::tasks::damage::Damages;
use crate::tasks::directory_move::Moves;
use crate::tasks::housekeeping::Housekeeper;
use crate::tasks::replica_fetcher::Fetchers;
use crate::transactions::TransactionCoordinator;
use crate::watched::Watched;

pub(crate) use kalda_controller::{KRAFT_VERSION, SUPPORTED_FEATURES};

/// The only selector of replicas to read from that there is, by its name in Kafka (KIP-392).
pub(crate) const RACK_AWARE_SELECTOR: &str =
    "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// Limits that hold for every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `socket.request.max.bytes`.
    pub(crate) frame_len_max: usize,
    /// `fetch.max.bytes`.
    pub(crate) fetch_max_bytes: usize,
}

/// A listener with the address that it got.
#[derive(Clone, Debug)]
pub(crate) struct BoundListener {
    pub(crate) listener: Listener,
    pub(crate) address: SocketAddr,
}

/// What a node finds outside itself.
#[derive(Clone, Debug)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub rng: Arc<dyn Rng>,
    /// The disks.
    pub disk: Arc<dyn Disk>,
    /// The network.
    pub net: Arc<dyn Net>,
    /// Where work beside the event loops is done.
    pub threads: Arc<dyn Threads>,
}

impl Default for World {
    /// The real one.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            rng: Arc::new(OsRng),
            disk: Arc::new(FsDisk),
            net: Arc::new(SystemNet),
            threads: Arc::new(SystemThreads),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: BrokerConfig,
    pub(crate) node: BrokerId,
    pub(crate) cluster_id: ClusterId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) threads: Arc<dyn Threads>,
    pub(crate) limits: Limits,
    pub(crate) request_memory: Arc<RequestMemory>,
    pub(crate) listeners: Vec<BoundListener>,
    pub(crate) directories: Vec<Arc<DataDirectory>>,
    pub(crate) partitions: PartitionTable,
    /// The node's part in the metadata quorum.
    pub(crate) quorum: QuorumHandle,
    /// The controller, if it is active here.
    pub(crate) controller: ControllerHandle,
    /// Where it is active.
    pub(crate) active_controller: ActiveController,
    /// To it, wherever that is.
    pub(crate) controller_channel: ControllerChannel,
    /// To the other brokers.
    pub(crate) peers: Peers,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) fetchers: Fetchers,
    pub(crate) replication_quotas: ReplicationQuotas,
    pub(crate) isr_changes: Arc<IsrChanges>,
    pub(crate) damages: Arc<Damages>,
    /// Whether consumers are sent to replicas in their own rack (`replica.selector.class`).
    pub(crate) is_rack_aware: bool,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) groups: GroupCoordinator,
    pub(crate) transactions: TransactionCoordinator,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) directory_assignments: DirectoryAssignments,
    pub(crate) moves: Moves,
    pub(crate) cleaner: Cleaner,
    pub(crate) housekeeper: Housekeeper,
    pub(crate) stop: Stop,
    image: RwLock<Arc<Image>>,
    /// The end of the metadata that this node acts on.
    published: Watched<Offset>,
    epoch: AtomicI64,
    /// The `kraft.version` that this node knows of.
    kraft_version: AtomicI16,
    warned_of_localhost: AtomicBool,
}

/// What a broker is made of before it shares it.
pub(crate) struct Parts {
    pub(crate) config: BrokerConfig,
    pub(crate) cluster_id: ClusterId,
    pub(crate) world: World,
    pub(crate) listeners: Vec<BoundListener>,
    pub(crate) directories: Vec<Arc<DataDirectory>>,
    pub(crate) quorum: QuorumHandle,
    pub(crate) controller: ControllerHandle,
    pub(crate) request_memory_max: usize,
    pub(crate) stop: Stop,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

impl Broker {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, world, .. } = parts;
        let size = |name: &str| usize::try_from(config.number(name)).unwrap_or(0);
        let limits = Limits {
            frame_len_max: size("socket.request.max.bytes"),
            fetch_max_bytes: size("fetch.max.bytes"),
        };
        let sessions = size("max.incremental.fetch.session.cache.slots");
        Arc::new(Self {
            node: config.node_id,
            cluster_id: parts.cluster_id,
            limits,
            request_memory: RequestMemory::new(parts.request_memory_max),
            listeners: parts.listeners,
            directories: parts.directories,
            partitions: PartitionTable::default(),
            quorum: parts.quorum,
            controller: parts.controller,
            active_controller: ActiveController::default(),
            controller_channel: ControllerChannel::default(),
            peers: Peers::default(),
            fetch_sessions: FetchSessions::new(sessions, Arc::clone(&world.rng)),
            fetchers: Fetchers::default(),
            replication_quotas: ReplicationQuotas::new(&config),
            isr_changes: Arc::default(),
            damages: Arc::default(),
            is_rack_aware: config.text("replica.selector.class") == Some(RACK_AWARE_SELECTOR),
            producer_ids: ProducerIds::default(),
            groups: GroupCoordinator::default(),
            transactions: TransactionCoordinator::default(),
            lifecycle: parts.lifecycle,
            directory_assignments: DirectoryAssignments::default(),
            moves: Moves::default(),
            cleaner: Cleaner::default(),
            housekeeper: Housekeeper::default(),
            stop: parts.stop,
            image: RwLock::default(),
            published: Watched::default(),
            epoch: AtomicI64::new(-1),
            kraft_version: AtomicI16::new(0),
            warned_of_localhost: AtomicBool::new(false),
            config,
            clock: world.clock,
            rng: world.rng,
            disk: world.disk,
            net: world.net,
            threads: world.threads,
        })
    }

    /// The newest committed metadata.
    pub(crate) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.read())
    }

    /// Lets everybody see `image`, the metadata up to `end`. Called by the metadata publisher, after
    /// it is committed and the partitions stand.
    pub(crate) fn publish(&self, image: Image, end: Offset) {
        *self.image.write() = Arc::new(image);
        self.published.replace(end);
    }

    /// Waits until this node acts on the metadata up to `end`, or stops.
    pub(crate) async fn published(&self, end: Offset) {
        let mut published = self.published.subscribe();
        tokio::select! {
            biased;
            () = published.wait_for(|upto| *upto >= end) => {}
            () = self.stopping() => {}
        }
    }

    /// Waits until this node acts on metadata as `is_seen` wants it, for a second at most: another
    /// controller than its own may be ahead of it.
    pub(crate) async fn until_seen(&self, is_seen: impl Fn(&Image) -> bool) {
        const LONGEST: Duration = Duration::from_secs(1);
        let mut published = self.published.subscribe();
        let seen = published.wait_for(|_| is_seen(&self.image()));
        let _lagging = tokio::time::timeout(LONGEST, seen).await;
    }

    /// The rules of the controller, on a state of the metadata.
    pub(crate) fn controller_on<'a>(&'a self, image: &'a Image) -> Controller<'a> {
        Controller { image, rng: &*self.rng, node: self.node, static_config: &self.config.values }
    }

    /// The end of the metadata that this node acts on.
    pub(crate) fn published_end(&self) -> Offset {
        *self.published.borrow()
    }

    /// Whether `peer` came in where nodes ask the controllers.
    pub(crate) fn is_controller_listener(&self, peer: &Peer) -> bool {
        self.listeners[peer.listener].listener.is_controllers
    }

    /// What others dial to reach a listener of this node.
    pub(crate) fn advertised(&self, bound: &BoundListener) -> HostPort {
        let (host, port) = match &bound.listener.advertised {
            AdvertisedHost::Fixed { host, port } => (host.clone(), *port),
            // Clients are told what they dialled; other nodes need some name.
            AdvertisedHost::AsDialled if self.config.is_alone() => ("localhost".to_owned(), 0),
            AdvertisedHost::AsDialled => (machine_name(), 0),
        };
        HostPort { host, port: if port == 0 { bound.address.port() } else { port } }
    }

    /// The listeners on which other nodes reach the controller of this one, by name.
    pub(crate) fn controller_endpoints(&self) -> Vec<(String, HostPort)> {
        let ours = self.listeners.iter().filter(|bound| bound.listener.is_controllers);
        ours.map(|bound| (bound.listener.name.clone(), self.advertised(bound))).collect()
    }

    /// Where other nodes reach the controller of this one, if it has such a listener.
    pub(crate) fn controller_address(&self) -> Option<HostPort> {
        self.controller_endpoints().into_iter().next().map(|(_, address)| address)
    }

    /// Where other brokers reach `broker`.
    pub(crate) fn inter_broker_endpoint<'a>(
        &self,
        broker: &'a BrokerRegistration,
    ) -> Option<&'a Endpoint> {
        broker.endpoint(&self.config.inter_broker_listener)
    }

    /// The epoch of this broker's registration.
    pub(crate) fn epoch(&self) -> BrokerEpoch {
        BrokerEpoch(self.epoch.load(Ordering::Acquire))
    }

    pub(crate) fn set_epoch(&self, epoch: BrokerEpoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    /// Whether the voters of the metadata quorum are static (0) or records (1).
    pub(crate) fn kraft_version(&self) -> i16 {
        self.kraft_version.load(Ordering::Relaxed)
    }

    pub(crate) fn set_kraft_version(&self, version: i16) {
        self.kraft_version.store(version, Ordering::Relaxed);
    }

    /// Who is named to clients as the controller. Any broker passes on what is for it: this one,
    /// unless the others take it for dead; clients look it up among the brokers that are `shown`.
    pub(crate) fn named_controller(&self, mut shown: impl Iterator<Item = BrokerId>) -> BrokerId {
        let first = shown.next().unwrap_or(BrokerId::NONE);
        if first == self.node || shown.any(|id| id == self.node) { self.node } else { first }
    }

    /// Where this broker finds its settings.
    pub(crate) fn config_sources<'a>(&'a self, image: &'a Image) -> ConfigSources<'a> {
        ConfigSources {
            dynamic: &image.configs,
            broker: self.node,
            static_config: &self.config.values,
        }
    }

    /// What a client is told to dial to reach `broker`: on its own listener, and as it dialled us
    /// if nothing was configured.
    pub(crate) fn endpoint_for(
        &self,
        peer: &Peer,
        broker: &BrokerRegistration,
    ) -> Option<(String, u16)> {
        let bound = &self.listeners[peer.listener];
        if broker.id != self.node {
            let endpoint = broker.endpoint(&bound.listener.name)?;
            return Some((endpoint.host.clone(), endpoint.port));
        }
        Some(match &bound.listener.advertised {
            AdvertisedHost::AsDialled => (dialled_host(peer.local), peer.local.port()),
            AdvertisedHost::Fixed { host, port } => {
                self.warn_if_misled(peer, host);
                (host.clone(), if *port == 0 { bound.address.port() } else { *port })
            }
        })
    }

    /// A client from elsewhere that is told "localhost" will dial itself: the classic mistake.
    fn warn_if_misled(&self, peer: &Peer, host: &str) {
        let is_local = host == "localhost" || host.starts_with("127.") || host == "::1";
        if is_local
            && !peer.remote.ip().to_canonical().is_loopback()
            && !self.warned_of_localhost.swap(true, Ordering::AcqRel)
        {
            tracing::warn!(
                "client {} is told to connect to `{host}`, which is itself: set `advertised.listeners` to an address that it can reach",
                peer.remote
            );
        }
    }

    /// Why a partition that the metadata has is not hosted here.
    pub(crate) fn why_not_hosted(&self, topic: &TopicImage, index: i32) -> ErrorCode {
        let is_ours = |replicas: &[BrokerId]| replicas.contains(&self.node);
        match topic.partitions.get(&index) {
            Some(partition) if is_ours(&partition.replicas) => ErrorCode::KafkaStorageError,
            Some(_) => ErrorCode::NotLeaderOrFollower,
            None => ErrorCode::UnknownTopicOrPartition,
        }
    }

    /// Ends when the broker is asked to stop.
    pub(crate) async fn stopping(&self) {
        self.stop.asked().await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_asked()
    }
}

/// What this machine calls itself.
fn machine_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The host that a client must have dialled to come in at `local`.
fn dialled_host(local: SocketAddr) -> String {
    let ip = local.ip().to_canonical();
    if ip.is_loopback() { "localhost".to_owned() } else { ip.to_string() }
}

/// The wish that the broker stops, and why. Cloned to whoever may wish it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    shared: Arc<StopShared>,
}

#[derive(Debug, Default)]
struct StopShared {
    is_asked: AtomicBool,
    asked: Notify,
    reason: Mutex<Option<String>>,
}

impl Stop {
    /// Asks for a stop; `failure` says why if it is not a wish but a need.
    pub(crate) fn ask(&self, failure: Option<String>) {
        let mut reason = self.shared.reason.lock();
        if reason.is_none() {
            *reason = failure;
        }
        drop(reason);
        self.shared.is_asked.store(true, Ordering::Release);
        self.shared.asked.notify_waiters();
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.shared.is_asked.load(Ordering::Acquire)
    }

    /// Why the broker cannot go on, if that is the case.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.reason.lock().clone()
    }

    pub(crate) async fn asked(&self) {
        loop {
            let asked = self.shared.asked.notified();
            if self.is_asked() {
                return;
            }
            asked.await;
        }
    }
}
