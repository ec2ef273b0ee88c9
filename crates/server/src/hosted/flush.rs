//! What the flusher of the log directory asks of a partition, and when it is asked to come.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kalda_protocol::ErrorCode;
use kalda_storage::{FlushWork, Flushable, Flushed, StorageError};

use super::HostedPartition;

impl Flushable for HostedPartition {
    fn take_dirty(&self) -> Result<Option<FlushWork>, StorageError> {
        // Cleared first: what is appended from here on asks for another pass.
        self.is_queued.store(false, Ordering::Release);
        let mut state = self.state.lock();
        if state.gone.is_some() {
            return Ok(None);
        }
        if state.is_flushing {
            // After a move two flushers may know this partition. They take turns.
            state.flush_again = true;
            return Ok(None);
        }
        state.unflushed_since_ms = None;
        let work = state.log.take_dirty()?;
        state.is_flushing = work.is_some();
        Ok(work)
    }

    fn on_flushed(&self, done: Flushed) {
        let mut state = self.state.lock();
        state.is_flushing = false;
        self.flush_ended.notify_all();
        if std::mem::take(&mut state.flush_again)
            && let Some(me) = self.me.upgrade()
        {
            me.queue_flush();
        }
        let flushed = state.log.on_flushed(done);
        if state.log.log_end_offset() == state.log.log_start_offset() {
            // Nothing is in it yet: it gives its file descriptors back until there is.
            state.log.close_idle_files();
        }
        let effects = state.partition.on_flushed(flushed);
        self.perform(&mut state, effects);
        state.tell_fetcher(self);
    }

    fn on_flush_error(&self, _error: &StorageError) {
        let mut state = self.state.lock();
        state.is_flushing = false;
        self.flush_ended.notify_all();
        state.log.on_flush_error();
        drop(state);
        self.retire(ErrorCode::KafkaStorageError);
    }
}

impl HostedPartition {
    /// In page-cache mode: asks for a flush if the oldest unflushed record is older than
    /// `flush.ms`. Answers when to look again.
    pub(crate) fn flush_if_due(self: &Arc<Self>, now_ms: i64) -> Option<i64> {
        let state = self.state.lock();
        let due_ms = state.unflushed_since_ms?.saturating_add(state.log.config().flush_ms);
        drop(state);
        if due_ms > now_ms {
            return Some(due_ms);
        }
        self.queue_flush();
        None
    }
}
