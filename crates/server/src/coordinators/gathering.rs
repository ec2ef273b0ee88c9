//! What goes to other brokers, gathered: while one request to a broker is under way, all that is to go
//! there next becomes one request. Nothing waits for company (`InterBrokerSendThread`).

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;

use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::broker::Broker;

/// The most that goes into one request.
const GATHERED_MAX: usize = 500;

/// A thing to ask of another broker, together with others of its kind.
pub(crate) trait Gathered: Debug + Send + Sized + 'static {
    /// What the other broker says to it.
    type Answer: Debug + Send + 'static;

    /// Where all of them wait.
    fn gathering(broker: &Broker) -> &Gathering<Self>;

    /// Whether it must not be in one request with an earlier one.
    fn excludes(&self, earlier: &Self) -> bool;

    /// Asks for all of them at once. The answers come in the same order, one for each.
    async fn ask(
        broker: &Arc<Broker>,
        to: BrokerId,
        gathered: &[Self],
    ) -> Result<Vec<Self::Answer>, ErrorCode>;
}

/// What waits, by the broker that it is for.
#[derive(Debug)]
pub(crate) struct Gathering<G: Gathered> {
    queues: Mutex<BTreeMap<BrokerId, Queue<G>>>,
}

/// A queue is there as long as somebody sends what is in it.
type Queue<G> = VecDeque<Waiting<G>>;

#[derive(Debug)]
struct Waiting<G: Gathered> {
    asked: G,
    answer: oneshot::Sender<Result<G::Answer, ErrorCode>>,
}

/// An answer that is under way.
pub(crate) struct Answering<A>(oneshot::Receiver<Result<A, ErrorCode>>);

impl<A> Answering<A> {
    /// What the other broker says, or why it says nothing.
    pub(crate) async fn answer(self) -> Result<A, ErrorCode> {
        self.0.await.unwrap_or(Err(ErrorCode::NetworkException))
    }
}

impl<G: Gathered> Default for Gathering<G> {
    fn default() -> Self {
        Self { queues: Mutex::default() }
    }
}

impl<G: Gathered> Gathering<G> {
    /// Puts `asked` on its way.
    pub(crate) fn send(broker: &Arc<Broker>, to: BrokerId, asked: G) -> Answering<G::Answer> {
        let (answer, answering) = oneshot::channel();
        let mut queues = G::gathering(broker).queues.lock();
        let is_sending = queues.contains_key(&to);
        queues.entry(to).or_default().push_back(Waiting { asked, answer });
        drop(queues);
        if !is_sending {
            let broker = Arc::clone(broker);
            tokio::task::spawn_local(async move { G::gathering(&broker).run(&broker, to).await });
        }
        Answering(answering)
    }

    /// How many wait for that broker; `None` if nobody speaks to it.
    #[cfg(test)]
    pub(super) fn waiting(&self, to: BrokerId) -> Option<usize> {
        self.queues.lock().get(&to).map(VecDeque::len)
    }

    /// Sends until there is nothing left for that broker.
    async fn run(&self, broker: &Arc<Broker>, to: BrokerId) {
        while let Some(waiting) = self.take(to) {
            let (gathered, answers): (Vec<G>, Vec<_>) =
                waiting.into_iter().map(|one| (one.asked, one.answer)).unzip();
            let asked = tokio::select! {
                biased;
                asked = G::ask(broker, to, &gathered) => asked,
                // Its connection may hang for long; another broker leads in its place by now.
                () = gone(broker, to) => Err(ErrorCode::NetworkException),
                () = broker.stopping() => Err(ErrorCode::NetworkException),
            };
            match asked {
                Ok(said) if said.len() == answers.len() => {
                    for (answer, said) in answers.into_iter().zip(said) {
                        // Who asked may be gone.
                        let _gone = answer.send(Ok(said));
                    }
                }
                Ok(_) => answers.into_iter().for_each(|answer| {
                    let _gone = answer.send(Err(ErrorCode::UnknownServerError));
                }),
                Err(error) => answers.into_iter().for_each(|answer| {
                    let _gone = answer.send(Err(error));
                }),
            }
        }
    }

    /// What goes into the next request; nothing if the queue is at its end.
    fn take(&self, to: BrokerId) -> Option<Vec<Waiting<G>>> {
        let mut queues = self.queues.lock();
        let queue = queues.get_mut(&to)?;
        if queue.is_empty() {
            queues.remove(&to);
            return None;
        }
        let mut taken: Vec<Waiting<G>> = Vec::new();
        while taken.len() < GATHERED_MAX
            && let Some(next) = queue.front()
            && !taken.iter().any(|earlier| next.asked.excludes(&earlier.asked))
            && let Some(next) = queue.pop_front()
        {
            taken.push(next);
        }
        Some(taken)
    }
}

/// Ends when the metadata says that the broker is not alive.
async fn gone(broker: &Broker, id: BrokerId) {
    let is_gone = || broker.image().brokers.get(&id).is_none_or(|known| known.fenced);
    broker.transactions.metadata_until(is_gone).await;
}
