//! One connection to one broker: requests go out pipelined, answers come back in order.
//!
//! Opened by the cluster, and by brokers for their requests to each other. Two tasks, one for each direction, live as long as the [`Connection`] and
//! are aborted when it is dropped. It does not retry and does not know what a request is for.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kalda_net::{Net, ReadHalf, Stream, WriteHalf};
use kalda_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use kalda_protocol::{ApiKey, ErrorCode, Message, Request, RequestHeader, ResponseHeader};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::bootstrap::HostPort;
use crate::config::ClientConfig;
use crate::versions::ApiVersionTable;
use crate::{Error, Result};

/// The most requests that may wait for their answers on one connection.
const IN_FLIGHT_MAX: usize = 1024;
/// The largest answer that is believed; above it the stream is taken for something else than Kafka.
const RESPONSE_BYTES_MAX: usize = 1 << 30;
/// How much room is made for an answer at a time, whatever it declares.
const READ_CHUNK_BYTES: usize = 256 * 1024;
/// The names under which the broker counts this client (KIP-511).
const SOFTWARE_NAME: &str = "kalda";

/// A live connection, or one that has died and says so.
#[derive(Debug)]
pub struct Connection {
    peer: HostPort,
    client_id: String,
    request_timeout: Duration,
    versions: ApiVersionTable,
    outgoing: mpsc::UnboundedSender<BytesMut>,
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Those who wait, in the order of their requests.
    waiting: VecDeque<Waiting>,
    next_correlation_id: i32,
    /// Why the connection is no more.
    closed: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    correlation_id: i32,
    reply: oneshot::Sender<Bytes>,
}

impl Shared {
    /// Ends the connection for everybody: waiting callers see their reply dropped.
    fn close(&self, reason: String) {
        let mut state = self.state.lock();
        state.closed.get_or_insert(reason);
        state.waiting.clear();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Connection {
    /// Connects, trying each address that the name has, and agrees on versions.
    ///
    /// # Errors
    /// Nobody answers there, or not in this protocol.
    pub async fn open(net: &dyn Net, peer: &HostPort, config: &ClientConfig) -> Result<Arc<Self>> {
        let setup = Duration::from_millis(config.connection_setup_timeout_ms);
        let stream = timeout(setup, net.connect(&peer.host, peer.port))
            .await
            .map_err(|_| disconnected(peer, "connection setup timed out"))?
            .map_err(|error| disconnected(peer, &error.to_string()))?;
        // Requests are small and wait for answers: never hold one back for the next.
        if let Err(error) = stream.set_nodelay() {
            tracing::debug!("TCP_NODELAY cannot be set: {error}");
        }
        let mut connection = Self::spawn(peer, stream, config);
        connection.versions = connection.negotiate().await?;
        Ok(Arc::new(connection))
    }

    fn spawn(peer: &HostPort, stream: Stream, config: &ClientConfig) -> Self {
        let (reader, writer) = stream.into_split();
        let (outgoing, queue) = mpsc::unbounded_channel();
        let state = State { waiting: VecDeque::new(), next_correlation_id: 0, closed: None };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let reading = tokio::spawn(read_answers(reader, Arc::clone(&shared)));
        let writing = tokio::spawn(write_requests(writer, queue, Arc::clone(&shared)));
        Self {
            peer: peer.clone(),
            client_id: config.client_id.clone(),
            request_timeout: Duration::from_millis(config.request_timeout_ms),
            versions: ApiVersionTable::default(),
            outgoing,
            shared,
            tasks: [reading.abort_handle(), writing.abort_handle()],
        }
    }

    /// Asks for the versions with our newest request; a broker that does not know it answers in
    /// version 0 and says what it does know (KIP-511), and an old one is asked again with 0.
    async fn negotiate(&self) -> Result<ApiVersionTable> {
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME.to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let newest = *ApiVersionsRequest::VERSIONS.end();
        let mut frame = self.exchange(&request, newest).await?;
        let code = frame.first_chunk().map(|code| i16::from_be_bytes(*code));
        let mut version = newest;
        if code == Some(ErrorCode::UnsupportedVersion.code()) {
            let answer = ApiVersionsResponse::decode(&mut frame, 0)?;
            let range = ApiVersionTable::new(answer).range(ApiKey::ApiVersions);
            version = range.map_or(0, |(_, max)| max.clamp(0, newest));
            frame = self.exchange(&request, version).await?;
        }
        let answer = ApiVersionsResponse::decode(&mut frame, version)?;
        Error::check(answer.error_code, None)?;
        Ok(ApiVersionTable::new(answer))
    }

    async fn exchange(&self, request: &ApiVersionsRequest, version: i16) -> Result<Bytes> {
        let reply = self.enqueue(request, version, Answer::Expected)?;
        let pending = Pending::<ApiVersionsResponse> {
            reply,
            version,
            api: ApiKey::ApiVersions,
            message: PhantomData,
        };
        pending.frame(self).await
    }

    /// What the broker offers now: features may have changed since the connection was opened.
    ///
    /// # Errors
    /// The connection broke, the time is over, or the answer makes no sense.
    pub async fn versions_now(&self) -> Result<ApiVersionTable> {
        self.negotiate().await
    }

    /// What the broker offers.
    #[must_use]
    pub fn versions(&self) -> &ApiVersionTable {
        &self.versions
    }

    /// Whether requests can still be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.state.lock().closed.is_none()
    }

    /// The version of a request that both sides have, no higher than `cap`.
    ///
    /// # Errors
    /// There is none.
    pub fn version<R: Request>(&self, cap: i16) -> Result<i16> {
        self.versions
            .pick(R::KEY, cap)
            .ok_or_else(|| Error::UnsupportedApi { api: R::KEY, peer: self.peer.to_string() })
    }

    /// Puts a request on the wire, after all those started before; its answer can be awaited.
    pub(crate) fn start<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<Pending<R::Response>> {
        let reply = self.enqueue(request, version, Answer::Expected)?;
        Ok(Pending { reply, version, api: R::KEY, message: PhantomData })
    }

    /// Puts a request on the wire that the broker will not answer (Produce with `acks=0`).
    pub(crate) fn start_unanswered<R: Request>(&self, request: &R, version: i16) -> Result<()> {
        self.enqueue(request, version, Answer::None).map(drop)
    }

    /// Asks in the newest version that both have, and waits.
    ///
    /// # Errors
    /// The connection broke, the time is over, or the answer makes no sense.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response> {
        let version = self.version::<R>(i16::MAX)?;
        self.start(request, version)?.answer(self).await
    }

    fn enqueue<R: Request>(
        &self,
        request: &R,
        version: i16,
        answer: Answer,
    ) -> Result<oneshot::Receiver<Bytes>> {
        let mut state = self.shared.state.lock();
        if let Some(reason) = &state.closed {
            return Err(disconnected(&self.peer, reason));
        }
        if state.waiting.len() >= IN_FLIGHT_MAX {
            let reason = format!("{IN_FLIGHT_MAX} requests are waiting for an answer already");
            return Err(Error::Protocol(format!("{}: {reason}", self.peer)));
        }
        let correlation_id = state.next_correlation_id;
        let frame = self.encode(request, version, correlation_id)?;
        state.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let (reply, receiver) = oneshot::channel();
        if answer == Answer::Expected {
            state.waiting.push_back(Waiting { correlation_id, reply });
        }
        // Under the lock, so that the order on the wire is the order of those who wait. The writer
        // being gone shows in `closed`, or will.
        let _ = self.outgoing.send(frame);
        Ok(receiver)
    }

    fn encode<R: Request>(&self, request: &R, version: i16, id: i32) -> Result<BytesMut> {
        let header = RequestHeader {
            api_key: R::KEY,
            api_version: version,
            correlation_id: id,
            client_id: Some(self.client_id.clone()),
        };
        let size = header.size() + request.size(version);
        let mut frame = BytesMut::with_capacity(4 + size);
        let claimed = i32::try_from(size)
            .map_err(|_| Error::Protocol("a request passes two gigabytes".to_owned()))?;
        frame.put_i32(claimed);
        header.encode(&mut frame)?;
        request.encode(&mut frame, version)?;
        Ok(frame)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Expected,
    None,
}

/// An answer that has not come yet.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    reply: oneshot::Receiver<Bytes>,
    version: i16,
    api: ApiKey,
    message: PhantomData<fn() -> T>,
}

impl<T: Message> Pending<T> {
    /// Waits for the answer. When the time is over the connection is given up, for its answers can
    /// no longer be told from late ones.
    pub(crate) async fn answer(self, connection: &Connection) -> Result<T> {
        let version = self.version;
        let mut frame = self.frame(connection).await?;
        Ok(T::decode(&mut frame, version)?)
    }

    async fn frame(self, connection: &Connection) -> Result<Bytes> {
        match timeout(connection.request_timeout, self.reply).await {
            Ok(Ok(mut frame)) => {
                ResponseHeader::decode(&mut frame, self.api, self.version)?;
                Ok(frame)
            }
            Ok(Err(_)) => {
                let closed = connection.shared.state.lock().closed.clone();
                let reason = closed.unwrap_or_else(|| "the connection was dropped".to_owned());
                Err(disconnected(&connection.peer, &reason))
            }
            Err(_) => {
                let reason = format!("no answer to {} within the request timeout", self.api);
                connection.shared.close(reason.clone());
                Err(disconnected(&connection.peer, &reason))
            }
        }
    }
}

fn disconnected(peer: &HostPort, reason: &str) -> Error {
    Error::Disconnected { peer: peer.to_string(), reason: reason.to_owned() }
}

async fn write_requests(
    mut writer: WriteHalf,
    mut queue: mpsc::UnboundedReceiver<BytesMut>,
    shared: Arc<Shared>,
) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = writer.write_all(&frame).await {
            shared.close(error.to_string());
            return;
        }
    }
}

async fn read_answers(mut reader: ReadHalf, shared: Arc<Shared>) {
    let mut buffer = BytesMut::new();
    let reason = loop {
        match read_frame(&mut reader, &mut buffer).await {
            Ok(Some(frame)) => {
                if let Err(reason) = hand_out(frame, &shared) {
                    break reason;
                }
            }
            Ok(None) => break "the broker closed the connection".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    shared.close(reason);
}

/// The next frame without its length, or `None` at the end of the stream.
async fn read_frame(
    reader: &mut ReadHalf,
    buffer: &mut BytesMut,
) -> std::io::Result<Option<Bytes>> {
    loop {
        let claimed = buffer.first_chunk().map(|length| u32::from_be_bytes(*length) as usize);
        let needed = match claimed {
            Some(length) if length > RESPONSE_BYTES_MAX => {
                let what = format!("an answer claims {length} bytes; is this a Kafka port?");
                return Err(std::io::Error::other(what));
            }
            Some(length) if buffer.len() >= 4 + length => {
                buffer.advance(4);
                return Ok(Some(buffer.split_to(length).freeze()));
            }
            Some(length) => 4 + length - buffer.len(),
            None => 4 - buffer.len(),
        };
        buffer.reserve(needed.clamp(4096, READ_CHUNK_BYTES));
        if reader.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn hand_out(frame: Bytes, shared: &Shared) -> std::result::Result<(), String> {
    let Some(id) = frame.first_chunk().map(|id| i32::from_be_bytes(*id)) else {
        return Err("an answer has no header".to_owned());
    };
    let Some(waiting) = shared.state.lock().waiting.pop_front() else {
        return Err(format!("an answer with correlation id {id} that nobody waits for"));
    };
    if waiting.correlation_id != id {
        let wanted = waiting.correlation_id;
        return Err(format!("the answer with correlation id {id} is not the one to {wanted}"));
    }
    // Whoever asked may have stopped waiting.
    let _ = waiting.reply.send(frame);
    Ok(())
}

#[cfg(test)]
mod tests;
