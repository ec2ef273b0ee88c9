//! The [`Client`]: where an application starts, and the way to producer, consumer and admin.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::config::{ClientConfig, ConsumerConfig, GroupConfig, ProducerConfig, Properties};
use crate::{Admin, Consumer, GroupConsumer, Partitioner, Producer, Result, World};

/// Settings on their way to a [`Client`].
#[derive(Clone, Debug, Default)]
pub struct ClientBuilder {
    properties: Properties,
    world: World,
}

impl ClientBuilder {
    /// Sets `client.id`.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        self.set("client.id", id)
    }

    /// Sets any of Kafka's keys.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.properties.set(key, value);
        self
    }

    /// Takes over all of `properties`, which win.
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties.extend(properties);
        self
    }

    /// Lives in this world instead of the real one.
    #[must_use]
    pub fn world(mut self, world: World) -> Self {
        self.world = world;
        self
    }

    /// Makes the client. It connects when it is first used.
    ///
    /// # Errors
    /// A setting has a value that it cannot take.
    pub fn build(self) -> Result<Client> {
        let (config, _) = ClientConfig::from_properties(&self.properties)?;
        Ok(Client {
            properties: self.properties,
            cluster: Arc::new(Cluster::new(config, self.world)),
        })
    }
}

/// One client of one cluster. Admin calls and consumers share its connections; a producer has its
/// own, so that its batches never wait behind a long poll.
#[derive(Clone, Debug)]
pub struct Client {
    properties: Properties,
    cluster: Arc<Cluster>,
}

impl Client {
    /// A builder for the cluster behind these servers (`host:port,…`).
    #[must_use]
    pub fn builder(bootstrap_servers: &str) -> ClientBuilder {
        ClientBuilder::default().set("bootstrap.servers", bootstrap_servers)
    }

    /// The calls that administrate.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.cluster))
    }

    /// A producer with this client's settings. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A producer's setting has a value that it cannot take.
    pub fn producer(&self) -> Result<Producer> {
        let (config, _) = ProducerConfig::from_properties(&self.properties)?;
        Ok(Producer::new(config, self.cluster.world().clone(), None))
    }

    /// A producer that asks `partitioner` where records go.
    ///
    /// # Errors
    /// A producer's setting has a value that it cannot take.
    pub fn producer_with(&self, partitioner: Box<dyn Partitioner>) -> Result<Producer> {
        let (config, _) = ProducerConfig::from_properties(&self.properties)?;
        Ok(Producer::new(config, self.cluster.world().clone(), Some(partitioner)))
    }

    /// A consumer with this client's settings.
    ///
    /// # Errors
    /// A consumer's setting has a value that it cannot take.
    pub fn consumer(&self) -> Result<Consumer> {
        let (config, _) = ConsumerConfig::from_properties(&self.properties)?;
        Ok(Consumer::new(config, Arc::clone(&self.cluster)))
    }

    /// A consumer of these topics in the group `group.id`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A setting has a value that it cannot take, or there is no `group.id`.
    pub fn group_consumer(
        &self,
        topics: impl IntoIterator<Item = String>,
    ) -> Result<GroupConsumer> {
        let (config, _) = ConsumerConfig::from_properties(&self.properties)?;
        let group = GroupConfig::from_properties(&self.properties)?;
        let topics = topics.into_iter().collect();
        Ok(GroupConsumer::start(group, config, Arc::clone(&self.cluster), topics))
    }
}
