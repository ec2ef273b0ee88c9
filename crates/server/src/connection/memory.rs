//! How much memory requests may take together, accounted before it is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The budget of all requests that are being read or served.
#[derive(Debug)]
pub(crate) struct RequestMemory {
    limit: usize,
    used: AtomicUsize,
    given_back: Notify,
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct MemoryGrant {
    memory: Arc<RequestMemory>,
    bytes: usize,
}

impl RequestMemory {
    /// A budget of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), given_back: Notify::new() })
    }

    /// Waits until `bytes` fit. A request larger than the whole budget is let in alone, since it
    /// could never fit otherwise; its size was checked against `socket.request.max.bytes`.
    pub(crate) async fn take(self: &Arc<Self>, bytes: usize) -> MemoryGrant {
        loop {
            let given_back = self.given_back.notified();
            if let Some(grant) = self.try_take(bytes) {
                return grant;
            }
            given_back.await;
        }
    }

    /// `bytes` if they fit now.
    pub(crate) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<MemoryGrant> {
        let fits = |used: usize| {
            let after = used + bytes;
            (after <= self.limit || used == 0).then_some(after)
        };
        self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).ok()?;
        Some(MemoryGrant { memory: Arc::clone(self), bytes })
    }
}

impl Drop for MemoryGrant {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::SeqCst);
        self.memory.given_back.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_until_something_is_given_back() {
        let memory = RequestMemory::new(100);
        let first = memory.try_take(60).unwrap();
        assert!(memory.try_take(60).is_none());
        drop(first);
        assert!(memory.try_take(60).is_some());
    }

    #[test]
    fn one_that_exceeds_the_budget_is_let_in_alone() {
        let memory = RequestMemory::new(100);
        let alone = memory.try_take(500).unwrap();
        assert!(memory.try_take(1).is_none());
        drop(alone);
        assert!(memory.try_take(1).is_some());
    }
}
