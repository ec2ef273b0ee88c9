//! To the active controller, wherever it is (`NodeToControllerChannelManager`).

use std::sync::Arc;
use std::time::Duration;

use kalda_client::HostPort;
use kalda_model::LeaderEpoch;
use kalda_protocol::{ErrorCode, Request};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{Link, PeerError};
use crate::broker::Broker;
use crate::controlled::Controlled;
use crate::quorum::Unavailable;
use crate::watched::{Watched, Watcher};

/// The pause before the same controller is asked again.
const RETRY: Duration = Duration::from_millis(50);

/// Where the active controller is, as far as this node knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Active {
    /// Nobody leads, or nobody has said so.
    #[default]
    Unknown,
    /// In this process.
    Here(LeaderEpoch),
    /// In another one, reached there.
    At(LeaderEpoch, HostPort),
}

/// What the quorum tells everybody else of its leader.
#[derive(Debug, Default)]
pub(crate) struct ActiveController {
    active: Watched<Active>,
}

impl ActiveController {
    /// Called by the quorum's loop only.
    pub(crate) fn set(&self, active: Active) {
        self.active.modify_if(|known| {
            let is_new = *known != active;
            *known = active;
            is_new
        });
    }

    pub(crate) fn get(&self) -> Active {
        self.active.borrow().clone()
    }

    fn subscribe(&self) -> Watcher<Active> {
        self.active.subscribe()
    }
}

/// The connection to the active controller. It follows the controller when that moves.
#[derive(Debug, Default)]
pub(crate) struct ControllerChannel {
    link: Mutex<Option<Link>>,
}

impl ControllerChannel {
    /// Has the active controller decide a request of this node's own.
    pub(crate) async fn call<R: Controlled>(
        &self,
        broker: &Arc<Broker>,
        request: &R,
    ) -> Result<R::Response, PeerError> {
        let mut attempt = Attempt::new(broker);
        loop {
            match attempt.next().await? {
                Active::Unknown => {}
                Active::Here(_) => {
                    let version = *R::VERSIONS.end();
                    let decided = broker.controller.decide_request(request.clone(), version).await;
                    match decided {
                        Err(Unavailable::NotActive) => {}
                        Err(refused) => {
                            return Ok(request.refused(refused.code(), &refused.to_string()));
                        }
                        Ok(decided) => return Ok(decided.response),
                    }
                }
                Active::At(_, address) => {
                    match attempt.unless_moved(self.ask(broker, &address, request)).await {
                        None => {}
                        Some(Ok(response))
                            if R::error_of(&response) == ErrorCode::NotController.code() => {}
                        Some(Ok(response)) => return Ok(response),
                        Some(Err(error)) => attempt.note(error),
                    }
                }
            }
        }
    }

    /// Sends a request to the controller in another process, once.
    pub(crate) async fn ask<R: Request>(
        &self,
        broker: &Broker,
        address: &HostPort,
        request: &R,
    ) -> Result<R::Response, PeerError> {
        let link = self.link(broker, address).await?;
        link.call(request).await
    }

    async fn link(&self, broker: &Broker, address: &HostPort) -> Result<Link, PeerError> {
        let mut known = self.link.lock().await;
        if let Some(link) = &*known
            && link.is_open()
            && link.leads_to(&address.host, address.port)
        {
            return Ok(link.clone());
        }
        let timeout_ms = broker.config.number("controller.socket.timeout.ms");
        let link = Link::open_for(broker, &address.host, address.port, timeout_ms).await?;
        *known = Some(link.clone());
        Ok(link)
    }
}

/// The tries of one request, until `request.timeout.ms` is over.
pub(crate) struct Attempt {
    watching: Watcher<Active>,
    deadline: Instant,
    tried: Option<Active>,
    last_error: Option<PeerError>,
}

impl Attempt {
    pub(crate) fn new(broker: &Broker) -> Self {
        let timeout_ms = broker.config.number("request.timeout.ms");
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        Self {
            watching: broker.active_controller.subscribe(),
            deadline: Instant::now() + timeout,
            tried: None,
            last_error: None,
        }
    }

    /// Whom to ask now: at once if nobody was asked yet, or another one became active; else after a
    /// pause.
    pub(crate) async fn next(&mut self) -> Result<Active, PeerError> {
        loop {
            let active = self.watching.see();
            if self.deadline <= Instant::now() {
                return Err(self.last_error.take().unwrap_or(PeerError::NoController));
            }
            let is_new = self.tried.as_ref() != Some(&active);
            if is_new && active != Active::Unknown {
                self.tried = Some(active.clone());
                return Ok(active);
            }
            let until = match active {
                Active::Unknown => self.deadline,
                _ => self.deadline.min(Instant::now() + RETRY),
            };
            let changed = timeout_at(until, self.watching.changed()).await;
            if changed.is_err() {
                self.tried = None;
            }
        }
    }

    /// Waits for `asked`, unless another controller becomes active meanwhile: this one may never
    /// answer.
    pub(crate) async fn unless_moved<T>(&mut self, asked: impl Future<Output = T>) -> Option<T> {
        let mut asked = std::pin::pin!(asked);
        loop {
            tokio::select! {
                biased;
                answer = &mut asked => return Some(answer),
                () = self.watching.changed() => {
                    let active = self.watching.see();
                    if active != Active::Unknown && self.tried.as_ref() != Some(&active) {
                        return None;
                    }
                }
                () = tokio::time::sleep_until(self.deadline) => return None,
            }
        }
    }

    /// Remembers why the last try failed, for who gives up.
    pub(crate) fn note(&mut self, error: PeerError) {
        tracing::debug!(%error, "the controller did not answer");
        self.last_error = Some(error);
    }
}
