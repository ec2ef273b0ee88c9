//! The cluster as the client reaches it: connections by node, routing, metadata.
//!
//! Shared by producer, consumer and admin. It keeps one connection per node, opens it when somebody
//! needs it, waits longer after each failure, and never runs by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kalda_model::{BrokerId, TopicPartition};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest};
use kalda_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::bootstrap::HostPort;
use crate::config::{Bootstrap, ClientConfig};
use crate::connection::Connection;
use crate::metadata::{Leader, Metadata};
use crate::{Error, Result, World};

/// A broker of the cluster, as it advertises itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its id.
    pub id: BrokerId,
    /// Where clients find it.
    pub address: HostPort,
    /// Its rack, if it says one.
    pub rack: Option<String>,
}

/// `EndpointType.CONTROLLER` of DescribeCluster.
pub(crate) const CONTROLLERS: i8 = 2;

/// Whether asking for a topic's metadata may create the topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AutoCreate {
    /// If the broker is set up so.
    Allowed,
    /// Never.
    Forbidden,
}

/// The way to one broker: the connection, and how connecting has gone.
#[derive(Debug, Default)]
struct Link {
    connection: Option<Arc<Connection>>,
    failures: u32,
    /// No attempt before this moment.
    retry_at: Option<Instant>,
}

type SharedLink = Arc<tokio::sync::Mutex<Link>>;

/// Every way to the cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    config: ClientConfig,
    world: World,
    metadata: Mutex<Metadata>,
    /// By address, so that a bootstrap address that turns out to be a broker's is one connection.
    links: Mutex<BTreeMap<HostPort, SharedLink>>,
}

impl Cluster {
    pub(crate) fn new(config: ClientConfig, world: World) -> Self {
        Self { config, world, metadata: Mutex::default(), links: Mutex::default() }
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Looks at what is known.
    pub(crate) fn with_metadata<T>(&self, look: impl FnOnce(&mut Metadata) -> T) -> T {
        look(&mut self.metadata.lock())
    }

    fn link(&self, address: &HostPort) -> SharedLink {
        Arc::clone(self.links.lock().entry(address.clone()).or_default())
    }

    /// The open connection to a node, if there is one right now.
    pub(crate) fn open_connection(&self, node: BrokerId) -> Option<Arc<Connection>> {
        let address = self.address(node)?;
        let link = self.link(&address);
        let link = link.try_lock().ok()?;
        link.connection.clone().filter(|connection| connection.is_open())
    }

    fn address(&self, node: BrokerId) -> Option<HostPort> {
        self.metadata.lock().nodes.get(&node.0).map(|node| node.address.clone())
    }

    /// A connection to that node.
    pub(crate) async fn node(&self, node: BrokerId) -> Result<Arc<Connection>> {
        let address = self.address(node).ok_or_else(|| Error::Disconnected {
            peer: format!("node {node}"),
            reason: "the metadata has no such broker".to_owned(),
        })?;
        self.connect(&address, &format!("node {node}")).await
    }

    /// The one connection to an address, opened if need be. Failed attempts are spaced out.
    async fn connect(&self, address: &HostPort, who: &str) -> Result<Arc<Connection>> {
        let link = self.link(address);
        let mut link = link.lock().await;
        if let Some(open) = link.connection.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(open));
        }
        if let Some(retry_at) = link.retry_at.take() {
            sleep_until(retry_at).await;
        }
        match Connection::open(&*self.world.net, address, &self.config).await {
            Ok(connection) => {
                *link = Link { connection: Some(Arc::clone(&connection)), ..Link::default() };
                Ok(connection)
            }
            Err(error) => {
                link.failures += 1;
                let wait = self.config.reconnect_backoff.after(link.failures, &*self.world.rng);
                link.retry_at = Some(Instant::now() + wait);
                if link.failures == 1 {
                    tracing::warn!(
                        "Connection to {who} ({address}) could not be established. Node may not be available. ({})",
                        reason(&error)
                    );
                }
                Err(error)
            }
        }
    }

    /// A connection to any broker: one that is open, else one that can be opened, the bootstrap
    /// servers included.
    pub(crate) async fn any(&self) -> Result<Arc<Connection>> {
        let known: Vec<HostPort> =
            self.metadata.lock().nodes.values().map(|node| node.address.clone()).collect();
        let servers = &self.config.bootstrap_servers;
        for address in servers.iter().chain(&known) {
            let link = self.link(address);
            if let Ok(link) = link.try_lock()
                && let Some(open) = link.connection.as_ref().filter(|open| open.is_open())
            {
                return Ok(Arc::clone(open));
            }
        }
        let mut last = Error::Closed;
        for address in known.iter().chain(servers) {
            match self.connect(address, "a bootstrap or known node").await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A connection to the active controller, or in KRaft to the broker that forwards to it.
    pub(crate) async fn controller(&self) -> Result<Arc<Connection>> {
        let known = self.with_metadata(|metadata| metadata.controller_id);
        let controller = match known {
            Some(id) => Some(id),
            None => {
                self.refresh(Some(Vec::new()), AutoCreate::Forbidden).await?;
                self.with_metadata(|metadata| metadata.controller_id)
            }
        };
        let controller = controller.ok_or(Error::from(ErrorCode::BrokerNotAvailable))?;
        self.node(BrokerId(controller)).await
    }

    /// A connection for what any broker passes on to the active controller; a controller does not.
    pub(crate) async fn any_broker_or_active_controller(&self) -> Result<Arc<Connection>> {
        match self.config.bootstrap {
            Bootstrap::Brokers => self.any().await,
            Bootstrap::Controllers => self.controller().await,
        }
    }

    /// The controllers, told as brokers are told: they do not answer Metadata (KIP-919).
    async fn refresh_controllers(&self, connection: &Connection) -> Result<MetadataResponse> {
        let request = DescribeClusterRequest {
            endpoint_type: CONTROLLERS,
            ..DescribeClusterRequest::default()
        };
        let answer = connection.call(&request).await?;
        Error::check(answer.error_code, answer.error_message)?;
        let broker = |node: DescribeClusterBroker| {
            let (node_id, host, port) = (node.broker_id, node.host, node.port);
            MetadataResponseBroker { node_id, host, port, rack: node.rack }
        };
        let response = MetadataResponse {
            brokers: answer.brokers.into_iter().map(broker).collect(),
            cluster_id: Some(answer.cluster_id),
            controller_id: answer.controller_id,
            ..MetadataResponse::default()
        };
        self.with_metadata(|metadata| metadata.update(response.clone()));
        Ok(response)
    }

    /// Asks for metadata: of the topics named, of none for an empty list, of all for `None`.
    pub(crate) async fn refresh(
        &self,
        topics: Option<Vec<String>>,
        auto_create: AutoCreate,
    ) -> Result<MetadataResponse> {
        let connection = self.any().await?;
        if self.config.bootstrap == Bootstrap::Controllers {
            return self.refresh_controllers(&connection).await;
        }
        let version = connection.version::<MetadataRequest>(i16::MAX)?;
        let topics = topics.map(|names| {
            let topic = |name| MetadataRequestTopic { name: Some(name), ..Default::default() };
            names.into_iter().map(topic).collect::<Vec<_>>()
        });
        let request = MetadataRequest {
            topics: match topics {
                // Version 0 has no null: there, none means all.
                None if version == 0 => Some(Vec::new()),
                topics => topics,
            },
            // Before version 4 there is no way to forbid it.
            allow_auto_topic_creation: auto_create == AutoCreate::Allowed || version < 4,
            ..Default::default()
        };
        let response = connection.start(&request, version)?.answer(&connection).await?;
        if response.brokers.is_empty() {
            return Err(ErrorCode::BrokerNotAvailable.into());
        }
        self.with_metadata(|metadata| metadata.update(response.clone()));
        Ok(response)
    }

    /// Brings one topic's metadata up to date and tells how many partitions it has, trying again
    /// for as long as `allowed` while the topic comes into being.
    pub(crate) async fn await_topic(
        &self,
        topic: &str,
        auto_create: AutoCreate,
        allowed: Duration,
    ) -> Result<i32> {
        let deadline = Instant::now() + allowed;
        let mut failures = 0;
        loop {
            let refreshed = self.refresh(Some(vec![topic.to_owned()]), auto_create);
            let outcome = match tokio::time::timeout_at(deadline, refreshed).await {
                Ok(outcome) => outcome.map(drop),
                Err(_) => return Err(topic_timeout(topic, allowed)),
            };
            let error = match outcome {
                Err(error) => error,
                Ok(()) => {
                    let (count, code) = self.with_metadata(|metadata| {
                        let count = metadata.topic(topic).map(|topic| topic.partition_count());
                        (count, metadata.topic_error(topic))
                    });
                    match (count, code) {
                        (Some(count), _) if count > 0 => return Ok(count),
                        (_, Some(code @ ErrorCode::InvalidTopicException)) => {
                            let message = format!("Invalid topics: [{topic}]");
                            return Err(Error::Api { code, message });
                        }
                        (_, Some(code)) => code.into(),
                        _ => ErrorCode::UnknownTopicOrPartition.into(),
                    }
                }
            };
            if !error.is_retriable() {
                return Err(error);
            }
            failures += 1;
            let wait = self.config.retry_backoff.after(failures, &*self.world.rng);
            if Instant::now() + wait >= deadline {
                return Err(topic_timeout(topic, allowed));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// The leader of a partition as far as it is known.
    pub(crate) fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        self.with_metadata(|metadata| metadata.leader(&partition.topic, partition.partition))
    }

    /// The wait before attempt `failures + 1`.
    pub(crate) fn retry_wait(&self, failures: u32) -> Duration {
        self.config.retry_backoff.after(failures, &*self.world.rng)
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::Disconnected { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

fn topic_timeout(topic: &str, allowed: Duration) -> Error {
    let millis = allowed.as_millis();
    Error::Timeout(format!("Topic {topic} not present in metadata after {millis} ms."))
}
