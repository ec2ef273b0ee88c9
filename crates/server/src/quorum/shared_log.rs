//! The metadata log behind the lock that its flusher takes.

use std::sync::Arc;

use kalda_raft::MetadataLog;
use kalda_raft::quorum::OffsetAndEpoch;
use kalda_storage::{FlushWork, Flushable, Flushed, StorageError};
use parking_lot::Mutex;

use super::handle::{Event, QuorumHandle};

/// Shared by the quorum's loop, the flusher of its directory, and the stop.
#[derive(Debug)]
pub(crate) struct SharedMetadataLog {
    pub(crate) log: Mutex<MetadataLog>,
    /// What is being flushed, as the log ended when that began.
    flushing: Mutex<Option<OffsetAndEpoch>>,
    quorum: QuorumHandle,
}

impl SharedMetadataLog {
    pub(crate) fn new(log: MetadataLog, quorum: QuorumHandle) -> Arc<Self> {
        Arc::new(Self { log: Mutex::new(log), flushing: Mutex::new(None), quorum })
    }
}

impl Flushable for SharedMetadataLog {
    fn take_dirty(&self) -> Result<Option<FlushWork>, StorageError> {
        let mut log = self.log.lock();
        *self.flushing.lock() = Some(log.end());
        let work = log.log_mut().take_dirty()?;
        if work.is_none() {
            // Nothing is missing on the disk.
            self.quorum.send(Event::Flushed(log.end()));
        }
        Ok(work)
    }

    fn on_flushed(&self, done: Flushed) {
        self.log.lock().log_mut().on_flushed(done);
        if let Some(end) = self.flushing.lock().take() {
            self.quorum.send(Event::Flushed(end));
        }
    }

    fn on_flush_error(&self, _error: &StorageError) {
        self.log.lock().log_mut().on_flush_error();
        self.quorum.send(Event::DiskFailed);
    }
}
