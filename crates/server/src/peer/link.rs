//! One connection to one node.

use std::sync::Arc;

use kalda_client::config::ClientConfig;
use kalda_client::{Connection, HostPort, Properties};
use kalda_protocol::Request;

use super::PeerError;
use crate::broker::Broker;

/// A connection that can be shared. It never opens again: whoever holds it opens another.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    connection: Arc<Connection>,
    to: HostPort,
}

impl Link {
    /// Connects and agrees on versions, within `socket.connection.setup.timeout.ms`.
    pub(crate) async fn open(broker: &Broker, host: &str, port: u16) -> Result<Self, PeerError> {
        Self::open_for(broker, host, port, broker.config.number("request.timeout.ms")).await
    }

    /// The same, for requests that are answered within `timeout_ms` or not at all.
    pub(crate) async fn open_for(
        broker: &Broker,
        host: &str,
        port: u16,
        timeout_ms: i64,
    ) -> Result<Self, PeerError> {
        let to = HostPort { host: host.to_owned(), port };
        let mut properties = Properties::default();
        properties.set("bootstrap.servers", to.to_string());
        properties.set("client.id", broker.node.to_string());
        properties.set("request.timeout.ms", timeout_ms.to_string());
        let setup = broker.config.number("socket.connection.setup.timeout.ms").min(timeout_ms);
        properties.set("socket.connection.setup.timeout.ms", setup.to_string());
        let (config, _) =
            ClientConfig::from_properties(&properties).map_err(kalda_client::Error::from)?;
        let connection = Connection::open(&*broker.net, &to, &config).await?;
        Ok(Self { connection, to })
    }

    /// Asks in the newest version that both have. Answers come in the order of the requests.
    pub(crate) async fn call<R: Request>(&self, request: &R) -> Result<R::Response, PeerError> {
        Ok(self.connection.call(request).await?)
    }

    /// The version in which a request is asked.
    pub(crate) fn version<R: Request>(&self) -> Result<i16, PeerError> {
        Ok(self.connection.version::<R>(i16::MAX)?)
    }

    /// The lowest and the highest level of a feature that the other side can run, if it knows it.
    pub(crate) fn supported_feature(&self, name: &str) -> Option<(i16, i16)> {
        let supported = &self.connection.versions().supported_features;
        let feature = supported.iter().find(|feature| feature.name == name)?;
        Some((feature.min_version, feature.max_version))
    }

    /// Whether requests can still be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Whether it was opened to this address.
    pub(crate) fn leads_to(&self, host: &str, port: u16) -> bool {
        self.to.host == host && self.to.port == port
    }
}
