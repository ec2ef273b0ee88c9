//! Those who wait at a partition: producers for the disk, consumers for records.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use kalda_model::Offset;
use kalda_protocol::ErrorCode;
use kalda_replication::Acks;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The waits of one request for its partitions. Nothing is allocated until the first of them has to
/// wait, and most have not when the page cache is what was asked for.
#[derive(Debug, Default)]
pub(crate) struct ProduceWaits {
    pending: OnceCell<Arc<PendingProduce>>,
    count: Cell<usize>,
}

impl ProduceWaits {
    /// How many partitions have made the request wait.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// What is to be waited for, if anything ever was.
    pub(crate) fn into_pending(self) -> Option<Arc<PendingProduce>> {
        let pending = self.pending.into_inner()?;
        // The handler's own share.
        pending.complete_one();
        Some(pending)
    }
}

/// A request that waits for some of its partitions.
#[derive(Debug)]
pub(crate) struct PendingProduce {
    /// How many partitions it still waits for, and one for the handler that sets it up.
    outstanding: AtomicUsize,
    /// The partitions that failed after the append, by the handler's own numbers.
    failed: Mutex<Vec<(usize, ErrorCode)>>,
    /// Nobody waits any more: its time was up.
    is_given_up: AtomicBool,
    done: Notify,
}

impl PendingProduce {
    fn new() -> Arc<Self> {
        let failed = Mutex::new(Vec::new());
        Arc::new(Self {
            outstanding: AtomicUsize::new(1),
            failed,
            is_given_up: AtomicBool::new(false),
            done: Notify::new(),
        })
    }

    /// The time is up: the partitions forget of it when they next look.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }

    /// Ends when no partition is outstanding.
    pub(crate) async fn done(&self) {
        while self.outstanding.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
    }

    /// What failed after the append.
    pub(crate) fn failures(&self) -> Vec<(usize, ErrorCode)> {
        self.failed.lock().clone()
    }

    fn complete_one(&self) {
        if self.outstanding.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

/// One partition's part of a [`PendingProduce`].
#[derive(Debug)]
pub(super) struct ProduceWait {
    /// Everything below it must be acknowledged.
    pub(super) end: Offset,
    pub(super) acks: Acks,
    request: Arc<PendingProduce>,
    slot: usize,
}

impl ProduceWait {
    pub(super) fn new(end: Offset, acks: Acks, waits: &ProduceWaits, slot: usize) -> Self {
        let request = waits.pending.get_or_init(PendingProduce::new);
        request.outstanding.fetch_add(1, Ordering::AcqRel);
        waits.count.set(waits.count.get() + 1);
        Self { end, acks, request: Arc::clone(request), slot }
    }

    pub(super) fn complete(&self) {
        self.request.complete_one();
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.request.is_given_up.load(Ordering::Acquire)
    }

    pub(super) fn fail(self, error: ErrorCode) {
        self.request.failed.lock().push((self.slot, error));
        self.request.complete_one();
    }
}

/// A Fetch request that waits for more bytes at its partitions. Appends count down what it misses,
/// so that none of them looks at all its partitions again.
#[derive(Debug)]
pub(crate) struct ParkedFetch {
    missing: AtomicI64,
    is_woken: AtomicBool,
    wake: Notify,
    /// It has something to tell that is not worth an answer of its own at once.
    is_hurried: AtomicBool,
    hurry: Notify,
}

impl ParkedFetch {
    pub(crate) fn new(missing_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            missing: AtomicI64::new(i64::try_from(missing_bytes).unwrap_or(i64::MAX)),
            is_woken: AtomicBool::new(false),
            wake: Notify::new(),
            is_hurried: AtomicBool::new(false),
            hurry: Notify::new(),
        })
    }

    /// Ends when enough bytes came, or a partition changed in another way.
    pub(crate) async fn woken(&self) {
        while !self.is_woken.load(Ordering::Acquire) {
            self.wake.notified().await;
        }
    }

    /// Ends when it should not wait for its whole time any more.
    pub(crate) async fn hurried(&self) {
        while !self.is_hurried.load(Ordering::Acquire) {
            self.hurry.notified().await;
        }
    }

    pub(super) fn hurry(&self) {
        if !self.is_hurried.swap(true, Ordering::AcqRel) {
            self.hurry.notify_one();
        }
    }

    pub(super) fn wake(&self) {
        self.is_woken.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// `bytes` became visible at one partition. Answers whether the fetch waits no longer.
    pub(super) fn on_bytes(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let enough = self.missing.fetch_sub(bytes, Ordering::AcqRel) <= bytes;
        if enough {
            self.wake();
        }
        enough
    }
}
