//! Group commit: one thread per log directory makes what was appended durable.
//!
//! There is no artificial delay. While one group syncs, the next one forms; one pass covers every
//! log that was marked. After the first error nothing is synced any more: the directory is to go
//! offline, and every log that is marked later is told so.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use indexmap::IndexMap;
use kalda_env::{Disk, Ended, Next, Threads, Worker};

use crate::error::StorageError;
use crate::log::{FlushWork, Flushed, perform_all};

/// A log behind its owner's lock. The flusher calls these without a lock of its own.
pub trait Flushable: Send + Sync {
    /// What is not durable yet: [`crate::Log::take_dirty`] under the lock.
    ///
    /// # Errors
    /// The log could not tell; treated like a failed sync.
    fn take_dirty(&self) -> Result<Option<FlushWork>, StorageError>;
    /// It is durable now: [`crate::Log::on_flushed`] under the lock, then the waiters.
    fn on_flushed(&self, done: Flushed);
    /// It will not be durable: [`crate::Log::on_flush_error`], then the waiters.
    fn on_flush_error(&self, error: &StorageError);
}

/// The group commit of one log directory. Dropping it finishes what was marked and ends the thread.
pub struct Flusher {
    shared: Arc<Shared>,
    waker: Waker,
    worker: Mutex<Option<Box<dyn Worker>>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The logs that were marked, each once and in that order: by the address of its handle.
    dirty: IndexMap<usize, Arc<dyn Flushable>>,
    is_stopping: bool,
}

impl Flusher {
    /// Starts the thread. `on_error` is called once, with the first error.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(
        disk: Arc<dyn Disk>,
        threads: &dyn Threads,
        on_error: impl FnOnce(&StorageError) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { disk, state: Mutex::default() });
        let mut group_commit = GroupCommit {
            shared: Arc::clone(&shared),
            on_error: Some(Box::new(on_error)),
            failed: None,
        };
        let worker = threads.repeat("kalda-flusher", Box::new(move || group_commit.pass()))?;
        Ok(Self { shared, waker: worker.waker(), worker: Mutex::new(Some(worker)) })
    }

    /// Says that `log` has something to make durable. Cheap when it has been said already.
    pub fn mark_dirty(&self, log: Arc<dyn Flushable>) {
        let address = Arc::as_ptr(&log).cast::<()>() as usize;
        let mut state = self.shared.lock();
        if state.is_stopping {
            // Nobody would take it out again, and a log that holds its flusher would live for ever.
            return;
        }
        let was_idle = state.dirty.is_empty();
        state.dirty.insert(address, log);
        drop(state);
        if was_idle {
            self.waker.wake_by_ref();
        }
    }

    /// Makes durable what was marked and ends the thread: before logs are closed, which flushes them
    /// on the caller's own thread. What is marked later stays as it is.
    pub fn finish(&self) {
        self.shared.lock().is_stopping = true;
        self.waker.wake_by_ref();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if worker.is_some_and(|worker| worker.join() == Ended::Panicked) {
            tracing::error!("the flusher thread panicked");
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.finish();
    }
}

impl fmt::Debug for Flusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flusher").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next group; or else, when the next pass is due.
    fn next_group(&self) -> Result<IndexMap<usize, Arc<dyn Flushable>>, Next> {
        let mut state = self.lock();
        if !state.dirty.is_empty() {
            return Ok(std::mem::take(&mut state.dirty));
        }
        Err(if state.is_stopping { Next::Never } else { Next::WhenWoken })
    }
}

/// From this many logs on they are made durable together; below it each is told as soon as it is.
const TOGETHER_LEN_MIN: usize = 64;
/// And at most this many, because each may hold files open.
const TOGETHER_LEN_MAX: usize = 512;

type Log = Arc<dyn Flushable>;

/// Told once.
type OnError = Box<dyn FnOnce(&StorageError) + Send>;

/// What the thread knows from pass to pass.
struct GroupCommit {
    shared: Arc<Shared>,
    on_error: Option<OnError>,
    failed: Option<StorageError>,
}

impl GroupCommit {
    /// Makes durable what was marked, and what is marked meanwhile.
    fn pass(&mut self) -> Next {
        loop {
            let logs: Vec<Log> = match self.shared.next_group() {
                Ok(group) => group.into_values().collect(),
                Err(next) => return next,
            };
            let step = if logs.len() < TOGETHER_LEN_MIN { 1 } else { TOGETHER_LEN_MAX };
            for some in logs.chunks(step) {
                self.flush_or_fail(some);
            }
        }
    }

    fn flush_or_fail(&mut self, some: &[Log]) {
        if self.failed.is_none() {
            self.failed = flush_some(&self.shared, some).err();
        }
        if let Some(error) = &self.failed {
            some.iter().for_each(|log| log.on_flush_error(error));
            if let Some(on_error) = self.on_error.take() {
                on_error(error);
            }
        }
    }
}

fn flush_some(shared: &Shared, logs: &[Log]) -> Result<(), StorageError> {
    let mut dirty = Vec::with_capacity(logs.len());
    let mut works = Vec::with_capacity(logs.len());
    for log in logs {
        if let Some(work) = log.take_dirty()? {
            dirty.push(log);
            works.push(work);
        }
    }
    let done = perform_all(&works, &*shared.disk)?;
    for (log, done) in dirty.into_iter().zip(done) {
        log.on_flushed(done);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
