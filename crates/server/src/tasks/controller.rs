//! The controller's loop: decide, append, flush, publish, answer.
//!
//! Decisions that arrive while one group is being flushed form the next, so that many of them cost
//! one fsync. Nobody hears of a decision before its records are on disk and this broker acts on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use kalda_controller::{Controller, Decision};
use kalda_metadata::{Changes, MetadataLoader};
use kalda_model::Offset;
use kalda_protocol::ErrorCode;
use kalda_protocol::stored::metadata::MetadataRecord;
use kalda_raft::MetadataLog;
use kalda_storage::{FlushWork, Flushable, Flushed, StorageError};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::metadata_publisher;
use crate::broker::Broker;
use crate::directory::DataDirectory;

/// Commands that may wait; who comes later waits to be let in.
const COMMANDS_MAX: usize = 1024;

/// Why a decision was not made. The text goes to the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("The controller is shutting down.")]
    Stopping,
    #[error("The metadata log cannot be written: {0}")]
    Disk(String),
    #[error("This broker may not register: {0}")]
    Refused(String),
}

impl Unavailable {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Stopping | Self::Refused(_) => ErrorCode::NotController,
            Self::Disk(_) => ErrorCode::KafkaStorageError,
        }
    }
}

type Answer = Box<dyn FnOnce(Result<(), Unavailable>) + Send>;
type Command = Box<dyn FnOnce(&Controller<'_>) -> (Vec<MetadataRecord>, Answer) + Send>;

/// How the rest of the broker speaks to the controller.
#[derive(Clone, Debug)]
pub(crate) struct ControllerHandle {
    commands: mpsc::Sender<Command>,
}

/// The other end of a [`ControllerHandle`].
pub(crate) struct Commands(mpsc::Receiver<Command>);

impl ControllerHandle {
    pub(crate) fn new() -> (Self, Commands) {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        (Self { commands }, Commands(receiver))
    }

    /// Lets the controller decide; returns when the decision holds.
    pub(crate) async fn decide<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&Controller<'_>) -> Decision<R> + Send + 'static,
    ) -> Result<R, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let command: Command = Box::new(move |controller| {
            let Decision { records, response } = decide(controller);
            let answer: Answer = Box::new(move |outcome| {
                // Who asked may be gone; the decision holds all the same.
                let _gone = answer.send(outcome.map(|()| response));
            });
            (records, answer)
        });
        self.commands.send(command).await.map_err(|_| Unavailable::Stopping)?;
        answered.await.map_err(|_| Unavailable::Stopping)?
    }
}

/// The metadata log behind the lock that its flusher takes.
#[derive(Debug)]
pub(crate) struct SharedMetadataLog {
    pub(crate) log: Mutex<MetadataLog>,
    flushed: AtomicI64,
    has_failed: AtomicBool,
    progress: Notify,
}

impl SharedMetadataLog {
    pub(crate) fn new(log: MetadataLog) -> Arc<Self> {
        Arc::new(Self {
            log: Mutex::new(log),
            flushed: AtomicI64::new(0),
            has_failed: AtomicBool::new(false),
            progress: Notify::new(),
        })
    }

    /// Waits until everything below `end` is on disk.
    async fn flush_to(
        self: &Arc<Self>,
        directory: &DataDirectory,
        end: Offset,
    ) -> Result<(), Unavailable> {
        directory.flusher.mark_dirty(Arc::clone(self) as _);
        loop {
            let progress = self.progress.notified();
            if self.flushed.load(Ordering::Acquire) >= end.0 {
                return Ok(());
            }
            if self.has_failed.load(Ordering::Acquire) {
                return Err(Unavailable::Disk("its log directory is offline".to_owned()));
            }
            progress.await;
        }
    }
}

impl Flushable for SharedMetadataLog {
    fn take_dirty(&self) -> Result<Option<FlushWork>, StorageError> {
        self.log.lock().log_mut().take_dirty()
    }

    fn on_flushed(&self, done: Flushed) {
        let flushed = self.log.lock().log_mut().on_flushed(done);
        self.flushed.fetch_max(flushed.0, Ordering::AcqRel);
        self.progress.notify_waiters();
    }

    fn on_flush_error(&self, _error: &StorageError) {
        self.log.lock().log_mut().on_flush_error();
        self.has_failed.store(true, Ordering::Release);
        self.progress.notify_waiters();
    }
}

/// The controller of this node.
pub(crate) struct ControllerLoop {
    pub(crate) broker: Arc<Broker>,
    pub(crate) log: Arc<SharedMetadataLog>,
    pub(crate) directory: Arc<DataDirectory>,
    pub(crate) loader: MetadataLoader,
    /// What was replayed and is not published yet.
    pub(crate) changes: Changes,
}

impl ControllerLoop {
    /// Serves commands until the broker has no more of them to give.
    pub(crate) async fn run(mut self, commands: Commands) {
        let Commands(mut commands) = commands;
        loop {
            let first = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => command,
                    None => return,
                },
                () = self.broker.stopping() => return,
            };
            let mut group = vec![first];
            while let Ok(next) = commands.try_recv() {
                group.push(next);
            }
            self.serve(group).await;
        }
    }

    /// Makes one decision outside of the queue: while the broker starts.
    pub(crate) async fn decide<R>(
        &mut self,
        decide: impl FnOnce(&Controller<'_>, Offset) -> Decision<R>,
    ) -> Result<R, Unavailable> {
        let next = self.log.log.lock().end_offset();
        let Decision { records, response } = decide(&self.controller(), next);
        self.append(&records)?;
        self.commit().await?;
        Ok(response)
    }

    async fn serve(&mut self, group: Vec<Command>) {
        let mut answers: Vec<(Answer, Result<(), Unavailable>)> = Vec::with_capacity(group.len());
        let mut has_records = false;
        for command in group {
            let (records, answer) = command(&self.controller());
            has_records |= !records.is_empty();
            // Later decisions of the group see what earlier ones did.
            let outcome = self.append(&records);
            answers.push((answer, outcome));
        }
        let committed = if has_records { self.commit().await } else { Ok(()) };
        for (answer, outcome) in answers {
            answer(outcome.and_then(|()| committed.clone()));
        }
    }

    fn controller(&self) -> Controller<'_> {
        Controller {
            image: self.loader.image(),
            rng: &*self.broker.rng,
            node: self.broker.node,
            static_config: &self.broker.config.values,
        }
    }

    /// Appends and replays; nothing is on disk yet and nobody else sees it.
    fn append(&mut self, records: &[MetadataRecord]) -> Result<(), Unavailable> {
        if records.is_empty() {
            return Ok(());
        }
        let mut log = self.log.log.lock();
        let now_ms = self.broker.clock.wall_ms();
        let end = log.append(records, now_ms).map_err(|error| {
            let text = error.to_string();
            if let kalda_storage::AppendError::Storage(error) = &error {
                self.directory.fail(error);
            }
            Unavailable::Disk(text)
        })?;
        let epoch = log.epoch();
        drop(log);
        let replayed = self.loader.replay(records, end, epoch);
        let changes = replayed.expect("the controller decides only what its own image allows");
        self.changes.extend(changes.unwrap_or_default());
        Ok(())
    }

    /// Waits for the disk, then acts on the new state and shows it.
    async fn commit(&mut self) -> Result<(), Unavailable> {
        let end = self.log.log.lock().end_offset();
        self.log.flush_to(&self.directory, end).await?;
        let changes = std::mem::take(&mut self.changes);
        metadata_publisher::apply(&self.broker, self.loader.image(), &changes).await;
        self.snapshot_if_due();
        Ok(())
    }

    fn snapshot_if_due(&self) {
        let mut log = self.log.log.lock();
        if !log.is_snapshot_due() {
            return;
        }
        let image = self.loader.image();
        let written =
            log.write_snapshot(&image.to_records(), image.end_offset, self.broker.clock.wall_ms());
        match written {
            Ok(id) => tracing::info!("wrote metadata snapshot {id}"),
            Err(error) => self.directory.fail(&error),
        }
    }
}
