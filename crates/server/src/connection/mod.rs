//! One client's connection: frames in, answers out, in order.
//!
//! Requests of a connection are served one after the other, as Kafka does; only the waits of
//! Produce requests overlap, so that a pipelining producer is not slowed to one flush a request.

mod answer;
mod frames;
mod memory;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use kalda_model::{BrokerEpoch, BrokerId};
use kalda_net::Stream;
use parking_lot::Mutex;

pub(crate) use answer::{Answer, Piece};
pub(crate) use frames::{Frame, FrameError};
pub(crate) use memory::RequestMemory;

use crate::broker::Broker;
use crate::dispatch::{self, InPlace, LaterAnswer, Refusal, Served};
use answer::Outbox;
use frames::{Frames, InPlaceService};

/// Produce requests of one connection that may wait for the disk at once; more are not read.
const PENDING_MAX: usize = 256;

/// What is known of a client; shared with the sweep that closes idle connections.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) remote: SocketAddr,
    /// The address that it dialled.
    pub(crate) local: SocketAddr,
    /// Which of the broker's listeners it came through.
    pub(crate) listener: usize,
    /// When it last sent or took something, on the monotonic clock.
    active_ms: AtomicI64,
    /// It has begun a request and not finished it.
    mid_frame: AtomicBool,
    /// A request of it is being served, which may take its time.
    served: AtomicBool,
    closing: AtomicBool,
    is_cut: AtomicBool,
    /// The life of the broker that speaks through it, at a controller.
    speaker: Mutex<Option<(BrokerId, BrokerEpoch)>>,
    /// Of the connection's task: one for its whole life.
    waker: Mutex<Option<Waker>>,
}

impl Peer {
    pub(crate) fn new(
        remote: SocketAddr,
        local: SocketAddr,
        listener: usize,
        now_ms: i64,
    ) -> Arc<Self> {
        Arc::new(Self {
            remote,
            local,
            listener,
            active_ms: AtomicI64::new(now_ms),
            mid_frame: AtomicBool::new(false),
            served: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            speaker: Mutex::new(None),
            waker: Mutex::new(None),
        })
    }

    /// A broker speaks through it.
    pub(crate) fn speaks_for(&self, speaker: (BrokerId, BrokerEpoch)) {
        *self.speaker.lock() = Some(speaker);
    }

    /// The broker that speaks through it, if any.
    pub(crate) fn speaker(&self) -> Option<(BrokerId, BrokerEpoch)> {
        *self.speaker.lock()
    }

    /// When it last sent or took something.
    pub(crate) fn active_ms(&self) -> i64 {
        self.active_ms.load(Ordering::Relaxed)
    }

    /// Asks the connection to end once what is in flight is answered.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether it has begun a request and not finished it.
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.mid_frame.load(Ordering::Relaxed)
    }

    /// Whether a request of it is being served.
    pub(crate) fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Ends the connection at once: it has been silent for too long.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }
}

pub(crate) struct Connection {
    broker: Arc<Broker>,
    stream: Stream,
    peer: Arc<Peer>,
    frames: Frames,
    outbox: Outbox,
    pending: VecDeque<LaterAnswer>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

enum Event {
    /// The socket has something, or has ended.
    Readable,
    Answered(Result<Option<Answer>, Refusal>),
    Close,
}

impl Connection {
    pub(crate) fn new(broker: Arc<Broker>, stream: Stream, peer: Arc<Peer>) -> Self {
        let frames = Frames::new(Arc::clone(&broker.request_memory), broker.limits.frame_len_max);
        Self { broker, stream, peer, frames, outbox: Outbox::default(), pending: VecDeque::new() }
    }

    /// Who it serves.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Serves the client until it leaves, errs, or is asked to go. Borrows: the task that owns it would
    /// otherwise keep room for it twice.
    pub(crate) async fn run(&mut self) -> Result<(), Ended> {
        let peer = Arc::clone(&self.peer);
        let mut serving = pin!(self.serve());
        let mut is_known = false;
        poll_fn(|context| {
            if !is_known {
                *peer.waker.lock() = Some(context.waker().clone());
                is_known = true;
            }
            if peer.is_cut.load(Ordering::Acquire) {
                return Poll::Ready(Ok(()));
            }
            serving.as_mut().poll(context)
        })
        .await
    }

    /// Tells the controller that lives here if it was a broker that spoke through it.
    pub(crate) fn left(&self) {
        if let Some((speaker, epoch)) = self.peer.speaker() {
            self.broker.quorum.broker_disconnected(speaker, epoch);
        }
    }

    async fn serve(&mut self) -> Result<(), Ended> {
        loop {
            if self.frames.is_partial() {
                Box::pin(self.serve_complete_frames()).await?;
            }
            if !self.outbox.is_empty() {
                self.write_answers().await?;
            }
            self.peer.served.store(!self.pending.is_empty(), Ordering::Relaxed);
            self.peer.mid_frame.store(self.frames.is_partial(), Ordering::Relaxed);
            match self.next_event().await? {
                Event::Answered(answer) => {
                    self.pending.pop_front();
                    self.outbox.extend(answer?);
                }
                Event::Readable => {
                    if self.frames.must_wait_for_memory()? {
                        Box::pin(self.answer_pending()).await?;
                        // It is this broker that does not go on, not the client.
                        self.peer.served.store(true, Ordering::Relaxed);
                        Box::pin(self.frames.wait_for_memory()).await?;
                    }
                    if self.read().await? == Some(0) {
                        return Box::pin(self.drain()).await;
                    }
                }
                Event::Close => return Box::pin(self.drain()).await,
            }
            self.peer.active_ms.store(self.broker.clock.monotonic_ms(), Ordering::Relaxed);
        }
    }

    /// Reads once, and serves in place what can be. `None` when there was nothing after all: whoever waits
    /// for more must wait for answers too.
    async fn read(&mut self) -> Result<Option<usize>, Ended> {
        let Self { broker, stream, peer, frames, outbox, pending } = self;
        let mut serving = ServingInPlace { broker, peer, outbox, pending };
        poll_fn(|context| match frames.poll_fill(context, stream, &mut serving) {
            Poll::Ready(read) => Poll::Ready(read.map(Some)),
            Poll::Pending => Poll::Ready(Ok(None)),
        })
        .await
    }

    async fn serve_complete_frames(&mut self) -> Result<(), Ended> {
        while self.pending.len() < PENDING_MAX && !self.peer.is_closing() {
            let Some(frame) = self.frames.take()? else { break };
            self.peer.served.store(true, Ordering::Relaxed);
            let at_controllers = self.broker.is_controller_listener(&self.peer);
            let request = dispatch::open(frame, at_controllers)?;
            // What is rare is boxed: the room that it needs belongs to connections that have asked for it.
            if !request.may_overlap() && !self.pending.is_empty() {
                Box::pin(self.answer_pending()).await?;
            }
            match Box::pin(dispatch::serve(&self.broker, &self.peer, request)).await? {
                Served::Silent => {}
                Served::Now(answer) if self.pending.is_empty() => self.outbox.push(answer),
                Served::Now(answer) => self.pending.push_back(Box::pin(async { Ok(Some(answer)) })),
                Served::Later(answer) => self.pending.push_back(answer),
            }
        }
        Ok(())
    }

    /// Waits for every answer that is owed and writes it.
    async fn answer_pending(&mut self) -> Result<(), Ended> {
        while let Some(answer) = self.pending.pop_front() {
            self.outbox.extend(answer.await?);
            self.write_answers().await?;
        }
        Ok(())
    }

    /// Writes what is due, waiting for the client to take it: one that does not counts as idle.
    async fn write_answers(&mut self) -> std::io::Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let was_served = self.peer.served.swap(false, Ordering::Relaxed);
        while !self.outbox.is_empty() {
            self.outbox.write_some(&self.stream).await?;
            self.peer.active_ms.store(self.broker.clock.monotonic_ms(), Ordering::Relaxed);
        }
        self.peer.served.store(was_served, Ordering::Relaxed);
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), Ended> {
        self.answer_pending().await?;
        Ok(self.write_answers().await?)
    }

    /// The next thing to happen. An answer that is ready goes before new requests.
    async fn next_event(&mut self) -> std::io::Result<Event> {
        let may_read = self.pending.len() < PENDING_MAX;
        poll_fn(|context| {
            if let Some(answer) = self.pending.front_mut()
                && let Poll::Ready(answer) = answer.as_mut().poll(context)
            {
                return Poll::Ready(Ok(Event::Answered(answer)));
            }
            if self.peer.is_closing() {
                return Poll::Ready(Ok(Event::Close));
            }
            if !may_read {
                return Poll::Pending;
            }
            ready!(self.stream.poll_read_ready(context))?;
            Poll::Ready(Ok(Event::Readable))
        })
        .await
    }
}

/// What a connection serves with while the bytes that it received are only lent to it.
struct ServingInPlace<'a> {
    broker: &'a Broker,
    peer: &'a Peer,
    outbox: &'a mut Outbox,
    pending: &'a mut VecDeque<LaterAnswer>,
}

impl InPlaceService for ServingInPlace<'_> {
    type Error = Ended;

    fn serve(&mut self, frame: &[u8], answers: &mut BytesMut) -> Result<bool, Ended> {
        if self.pending.len() >= PENDING_MAX || self.peer.is_closing() {
            return Ok(false);
        }
        let begun = answers.len();
        match dispatch::serve_in_place(self.broker, self.peer, frame, answers)? {
            None => return Ok(false),
            Some(InPlace::Silent) => {}
            Some(InPlace::Answered) if self.pending.is_empty() => {}
            Some(InPlace::Answered) => {
                let answer = Answer::from_sealed(Bytes::copy_from_slice(&answers[begun..]));
                answers.truncate(begun);
                self.pending.push_back(Box::pin(async { Ok(Some(answer)) }));
            }
            Some(InPlace::Later(answer)) => self.pending.push_back(answer),
        }
        Ok(true)
    }

    fn send(&mut self, answers: &[u8], stream: &Stream) -> Result<(), Ended> {
        Ok(self.outbox.send(stream, answers)?)
    }
}
