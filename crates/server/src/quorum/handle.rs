//! How the rest of the node speaks to the quorum's loop.

use bytes::Bytes;
use kalda_client::HostPort;
use kalda_controller::Decision;
use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_protocol::stored::metadata::MetadataRecord;
use kalda_raft::SnapshotId;
use kalda_raft::quorum::{
    Correlation, OffsetAndEpoch, ReplicaProgress, Request, Response, VoterSet,
};
use kalda_storage::StorageError;
use tokio::sync::{mpsc, oneshot};

use crate::controlled::{Controlled, Deciding};

/// Something that the loop has to see to.
pub(super) enum Event {
    /// Another node asks, or a tool.
    Ask { request: Request, answer: oneshot::Sender<Asked> },
    /// Another node answers.
    Answered {
        from: BrokerId,
        correlation: Correlation,
        response: Response,
        nodes: Vec<(BrokerId, HostPort)>,
    },
    /// Another node cannot be asked, or does not answer.
    Failed { to: BrokerId, correlation: Correlation },
    /// Where a node said that it is.
    Address { node: BrokerId, address: HostPort },
    /// The log is on disk up to here.
    Flushed(OffsetAndEpoch),
    /// The log's directory is offline.
    DiskFailed,
    /// The controller is to decide something.
    Decide(Command),
    /// Somebody wants to know how the replicas are.
    Describe(oneshot::Sender<Description>),
    /// A snapshot of the metadata was written, or could not be.
    SnapshotWritten(Result<SnapshotId, StorageError>),
    /// Another node of the quorum refuses connections.
    Gone(BrokerId),
    /// A node says that it is of another cluster.
    Foreign(HostPort),
    /// The connection of a broker broke.
    BrokerDisconnected { broker: BrokerId, epoch: BrokerEpoch },
    /// A broker refuses connections.
    BrokerLost { broker: BrokerId, epoch: BrokerEpoch },
    /// This node is about to end: another one is to lead.
    Resign(oneshot::Sender<()>),
}

/// An answer of the quorum to another node.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) response: Response,
    /// The batches that go with it.
    pub(crate) records: Bytes,
    /// Where the leader is, if known.
    pub(crate) leader_address: Option<HostPort>,
    /// The log's first offset.
    pub(crate) log_start: Offset,
}

/// The replicas as the leader sees them; on another node, only who leads.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) leader: Option<BrokerId>,
    pub(crate) is_leader: bool,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) high_watermark: Offset,
    pub(crate) replicas: Vec<ReplicaProgress>,
    pub(crate) voters: VoterSet,
    /// The loop's clock now, for the times in `replicas`.
    pub(crate) now_ms: i64,
    /// Where voters are, for static ones, who name no endpoint.
    pub(crate) addresses: Vec<(BrokerId, HostPort)>,
}

/// Why a decision was not made. The text goes to the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("This is not the correct controller for this cluster.")]
    NotActive,
    #[error("The controller is shutting down.")]
    Stopping,
    #[error("The metadata log cannot be written: {0}")]
    Disk(String),
}

impl Unavailable {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Stopping | Self::NotActive => ErrorCode::NotController,
            Self::Disk(_) => ErrorCode::KafkaStorageError,
        }
    }
}

/// What to do once it is known what became of a decision.
pub(super) type Answer = Box<dyn FnOnce(Result<Offset, Unavailable>) + Send>;

/// Something for the controller to decide, and whom to tell if it cannot.
pub(super) struct Command {
    pub(super) decide: Decide,
}

/// Called with nothing where no controller is active: then nobody decides.
type Decide = Box<dyn FnOnce(Option<&mut Deciding<'_>>) -> Option<ToAppend> + Send>;

/// The records of a decision, and whom to tell.
type ToAppend = (Vec<MetadataRecord>, Answer);

/// A decision that holds.
#[derive(Debug)]
pub(crate) struct Decided<R> {
    pub(crate) response: R,
    /// The end of the metadata that it rests on.
    pub(crate) end: Offset,
}

/// To the loop, for the node's own part in the quorum.
#[derive(Clone, Debug)]
pub(crate) struct QuorumHandle {
    events: mpsc::UnboundedSender<Event>,
}

/// To the loop, for what the controller decides.
#[derive(Clone, Debug)]
pub(crate) struct ControllerHandle {
    events: mpsc::UnboundedSender<Event>,
}

/// The loop's end of the handles.
pub(crate) struct Events(pub(super) mpsc::UnboundedReceiver<Event>);

impl QuorumHandle {
    pub(crate) fn new() -> (Self, ControllerHandle, Events) {
        let (events, receiver) = mpsc::unbounded_channel();
        let controller = ControllerHandle { events: events.clone() };
        (Self { events }, controller, Events(receiver))
    }

    /// Asks the quorum for another node; none when this node ends.
    pub(crate) async fn ask(&self, request: Request) -> Option<Asked> {
        let (answer, answered) = oneshot::channel();
        self.send(Event::Ask { request, answer });
        answered.await.ok()
    }

    /// How the replicas are; none when this node ends.
    pub(crate) async fn describe(&self) -> Option<Description> {
        let (answer, answered) = oneshot::channel();
        self.send(Event::Describe(answer));
        answered.await.ok()
    }

    /// Notes where a node said that it is.
    pub(crate) fn learn_address(&self, node: BrokerId, address: HostPort) {
        self.send(Event::Address { node, address });
    }

    /// The connection through which a broker spoke to the controller here broke.
    pub(crate) fn broker_disconnected(&self, broker: BrokerId, epoch: BrokerEpoch) {
        self.send(Event::BrokerDisconnected { broker, epoch });
    }

    /// A broker is gone: it refuses connections.
    pub(crate) fn broker_lost(&self, broker: BrokerId, epoch: BrokerEpoch) {
        self.send(Event::BrokerLost { broker, epoch });
    }

    /// Hands leadership over, if this node leads; returns when it does not any more.
    pub(crate) async fn resign(&self) {
        let (answer, answered) = oneshot::channel();
        self.send(Event::Resign(answer));
        let _ended_before = answered.await;
    }

    pub(super) fn send(&self, event: Event) {
        // A loop that is gone means that the node ends.
        let _ended = self.events.send(event);
    }
}

impl ControllerHandle {
    /// Lets the controller decide; returns when the decision is committed.
    pub(crate) async fn decide<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Deciding<'_>) -> Decision<R> + Send + 'static,
    ) -> Result<Decided<R>, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let decide = Box::new(move |deciding: Option<&mut Deciding<'_>>| {
            let Some(deciding) = deciding else {
                let _gone = answer.send(Err(Unavailable::NotActive));
                return None;
            };
            let Decision { records, response } = decide(deciding);
            let answer: Answer = Box::new(move |outcome| {
                // Who asked may be gone; the decision holds all the same.
                let _gone = answer.send(outcome.map(|end| Decided { response, end }));
            });
            Some((records, answer))
        });
        let command = Event::Decide(Command { decide });
        self.events.send(command).map_err(|_| Unavailable::Stopping)?;
        answered.await.map_err(|_| Unavailable::Stopping)?
    }

    /// Lets it decide a request.
    pub(crate) async fn decide_request<R: Controlled>(
        &self,
        request: R,
        version: i16,
    ) -> Result<Decided<R::Response>, Unavailable> {
        self.decide(move |deciding| request.decide(deciding, version)).await
    }
}
