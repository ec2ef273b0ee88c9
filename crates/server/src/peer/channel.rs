//! To the active controller, wherever it is (`NodeToControllerChannelManager`).

use std::time::Duration;

use kalda_client::HostPort;
use kalda_model::LeaderEpoch;
use kalda_protocol::ErrorCode;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{Link, PeerError};
use crate::broker::Broker;
use crate::controlled::{self, Controlled};
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
        broker: &Broker,
        request: &R,
    ) -> Result<R::Response, PeerError> {
        let here = async || {
            let decided = controlled::decide_here(broker, request, *R::VERSIONS.end()).await?;
            Some(decided.response)
        };
        let there = async |link: Link| {
            let response = link.call(request).await?;
            let is_moved = R::error_of(&response) == ErrorCode::NotController.code();
            Ok((!is_moved).then_some(response))
        };
        Ok(ask_active(broker, here, there).await?.answer)
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

/// What the active controller answered.
pub(crate) struct Told<A> {
    pub(crate) answer: A,
    /// Somebody was asked before and did not answer, or not as the controller: what was asked may
    /// have been done then.
    pub(crate) is_repeated: bool,
}

/// Asks the active controller, `here` or over a connection `there`, and follows it when it moves:
/// until one of them has an answer, or `request.timeout.ms` is over. Without an answer, who was asked
/// is not the active controller any more.
pub(crate) async fn ask_active<A>(
    broker: &Broker,
    here: impl AsyncFn() -> Option<A>,
    there: impl AsyncFn(Link) -> Result<Option<A>, PeerError>,
) -> Result<Told<A>, PeerError> {
    let mut attempt = Attempt::new(broker);
    let mut is_repeated = false;
    loop {
        let mut is_asked = false;
        let answer = match attempt.next().await? {
            Active::Unknown => continue,
            Active::Here(_) => {
                is_asked = true;
                here().await
            }
            Active::At(_, address) => {
                let asked = async {
                    let link = broker.controller_channel.link(broker, &address).await?;
                    is_asked = true;
                    there(link).await
                };
                match attempt.unless_moved(asked).await {
                    Some(Ok(answer)) => answer,
                    Some(Err(error)) => {
                        attempt.note(error);
                        None
                    }
                    None => None,
                }
            }
        };
        if let Some(answer) = answer {
            return Ok(Told { answer, is_repeated });
        }
        is_repeated |= is_asked;
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
