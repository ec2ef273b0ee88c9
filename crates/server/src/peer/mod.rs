//! What this node asks of other nodes, over the same connections that clients use.
//!
//! Called by everything that speaks to another broker or to the controllers. It opens connections
//! when they are first needed and again after they broke; whether a request may be repeated is for
//! the caller to know.

mod channel;
mod link;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kalda_client::HostPort;
use kalda_model::BrokerId;
use kalda_net::Net;
use kalda_protocol::{ErrorCode, Request};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::broker::Broker;
pub(crate) use channel::{Active, ActiveController, ControllerChannel, ask_active};
pub(crate) use link::Link;

/// How often a node that accepts connections is asked again, and how long after.
const PROBES: u32 = 4;
const PROBE_PAUSE: Duration = Duration::from_millis(100);
/// How long a machine may take to say that nobody listens.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Why another node did not answer.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// The metadata does not say where it is: it is not registered, or has no such listener.
    #[error("the address of broker {0} is not known")]
    Unknown(BrokerId),
    /// The connection broke, the time was over, or the answer made no sense.
    #[error(transparent)]
    Client(#[from] kalda_client::Error),
    /// No controller was active in time.
    #[error(
        "no controller is active; `kalda metadata-quorum describe --status` shows who is missing"
    )]
    NoController,
}

impl PeerError {
    /// The error code of the other node, if it answered with one.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Client(error) => error.code(),
            Self::Unknown(_) | Self::NoController => None,
        }
    }
}

/// One shared connection to each broker. Requests on it are answered in order: it is not for those
/// that wait long.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// Each behind a lock of its own: one that does not answer keeps nobody from the others.
    links: parking_lot::Mutex<BTreeMap<BrokerId, Arc<Mutex<Option<Link>>>>>,
}

impl Peers {
    /// Asks the broker `to`, as the newest metadata knows it.
    pub(crate) async fn call<R: Request>(
        &self,
        broker: &Broker,
        to: BrokerId,
        request: &R,
    ) -> Result<R::Response, PeerError> {
        let link = self.link(broker, to).await?;
        link.call(request).await
    }

    /// The connection to `to`, opened if there is none or it leads to where the broker was before.
    async fn link(&self, broker: &Broker, to: BrokerId) -> Result<Link, PeerError> {
        let image = broker.image();
        let endpoint = image.brokers.get(&to).and_then(|peer| broker.inter_broker_endpoint(peer));
        let endpoint = endpoint.ok_or(PeerError::Unknown(to))?;
        // Held while it opens: who comes meanwhile waits for the same connection.
        let slot = Arc::clone(self.links.lock().entry(to).or_default());
        let mut known = slot.lock().await;
        if let Some(link) = &*known
            && link.is_open()
            && link.leads_to(&endpoint.host, endpoint.port)
        {
            return Ok(link.clone());
        }
        let link = Link::open(broker, &endpoint.host, endpoint.port).await?;
        *known = Some(link.clone());
        Ok(link)
    }
}

/// Whether nobody listens at `address`: the machine says so, rather than nothing. A node that cannot
/// be reached at all may live behind a broken network. Asked more than once: a process that is being
/// killed loses its connections one after the other, and its listener is one of them.
pub(crate) async fn is_gone(net: &dyn Net, address: &HostPort) -> bool {
    for _ in 0..PROBES {
        if is_refused(net, address).await {
            return true;
        }
        tokio::time::sleep(PROBE_PAUSE).await;
    }
    false
}

async fn is_refused(net: &dyn Net, address: &HostPort) -> bool {
    let connected = net.connect(&address.host, address.port);
    match timeout(PROBE_TIMEOUT, connected).await {
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => false,
    }
}
