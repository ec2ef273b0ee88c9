//! What a fetch session is told by its partitions, so that a fetch looks only at those that changed
//! (KIP-227): the cost of a session is that of its traffic, not of its size.
//!
//! A partition knows the [`Watch`] of every session that it is in, and marks it whenever there is something to
//! tell. The session drains what was marked. The partition's lock is held for a mark, so nothing here may
//! take the lock of a partition or of a session.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::waits::ParkedFetch;
use super::{HostedPartition, Isolation, State};
use crate::handlers::fetch::TopicRef;

/// How a partition went on, as its readers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Bytes that came below the high watermark.
    pub(super) visible_bytes: usize,
    pub(super) committed: Committed,
}

/// The same for who reads committed records only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Committed {
    /// No transaction is or was open: they see the same bytes.
    AllVisible,
    /// A transaction has ended: how much it shows, only a read can tell.
    More,
    Nothing,
}

/// What the partitions of one session have said since it last looked.
#[derive(Debug, Default)]
pub(crate) struct FetchSignals {
    /// Whether the session is that of a replica.
    is_of_replica: bool,
    marked: Mutex<Vec<Arc<Watch>>>,
    parked: Mutex<Option<(Arc<ParkedFetch>, Isolation)>>,
}

/// One partition of one session.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    is_of_replica: bool,
    signals: Weak<FetchSignals>,
    is_marked: AtomicBool,
    /// The partition that knows of it. A topic that is made anew is another one.
    hosted: Mutex<Weak<HostedPartition>>,
}

impl FetchSignals {
    pub(crate) fn new(is_of_replica: bool) -> Arc<Self> {
        Arc::new(Self { is_of_replica, ..Self::default() })
    }

    /// A watch of these signals, marked since nobody has looked yet.
    pub(crate) fn watch(self: &Arc<Self>, topic: TopicRef, partition: i32) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            topic,
            partition,
            is_of_replica: self.is_of_replica,
            signals: Arc::downgrade(self),
            is_marked: AtomicBool::new(false),
            hosted: Mutex::default(),
        });
        watch.mark();
        watch
    }

    /// What was marked. Whoever takes it looks at those partitions after this: what happens from here on
    /// marks them again.
    pub(crate) fn take_marked(&self) -> Vec<Arc<Watch>> {
        let marked = std::mem::take(&mut *self.marked.lock());
        for watch in &marked {
            watch.is_marked.store(false, Ordering::Release);
        }
        marked
    }

    /// Lets a fetch wait for more. `false` when there is more already.
    pub(crate) fn park(&self, parked: &Arc<ParkedFetch>, isolation: Isolation) -> bool {
        *self.parked.lock() = Some((Arc::clone(parked), isolation));
        self.marked.lock().is_empty()
    }

    /// The fetch waits no longer.
    pub(crate) fn unpark(&self, parked: &Arc<ParkedFetch>) {
        let mut waiting = self.parked.lock();
        if waiting.as_ref().is_some_and(|(other, _)| Arc::ptr_eq(other, parked)) {
            *waiting = None;
        }
    }

    fn on_progress(&self, progress: Progress) {
        let parked = self.parked.lock();
        let Some((parked, isolation)) = &*parked else { return };
        match (isolation, progress.committed) {
            (Isolation::ReadUncommitted | Isolation::LogEnd, _) | (_, Committed::AllVisible) => {
                parked.on_bytes(progress.visible_bytes);
            }
            (Isolation::ReadCommitted, Committed::More) => parked.wake(),
            (Isolation::ReadCommitted, Committed::Nothing) => {}
        }
    }

    fn on_append(&self, bytes: usize) {
        if let Some((parked, _)) = &*self.parked.lock() {
            parked.on_bytes(bytes);
        }
    }

    fn hurry(&self) {
        if let Some((parked, _)) = &*self.parked.lock() {
            parked.hurry();
        }
    }

    fn wake(&self) {
        if let Some((parked, _)) = &*self.parked.lock() {
            parked.wake();
        }
    }
}

impl Watch {
    /// The next fetch is to look at this partition, whatever happens.
    pub(crate) fn mark(self: &Arc<Self>) {
        if let Some(signals) = self.signals.upgrade()
            && !self.is_marked.swap(true, Ordering::AcqRel)
        {
            signals.marked.lock().push(Arc::clone(self));
        }
    }

    /// The session is not interested any more.
    pub(crate) fn end(self: &Arc<Self>) {
        if let Some(hosted) = self.hosted.lock().upgrade() {
            let mut state = hosted.state.lock();
            let State { watches, replica_watches, .. } = &mut *state;
            let watches = if self.is_of_replica { replica_watches } else { watches };
            watches.retain(|other| !Arc::ptr_eq(other, self));
        }
    }
}

impl HostedPartition {
    /// Tells `watch` of all that happens from now on.
    pub(crate) fn tell(self: &Arc<Self>, watch: &Arc<Watch>) {
        let mut hosted = watch.hosted.lock();
        if std::ptr::eq(hosted.as_ptr(), Arc::as_ptr(self)) {
            return;
        }
        *hosted = Arc::downgrade(self);
        drop(hosted);
        let mut state = self.state.lock();
        if watch.is_of_replica {
            state.replica_watches.push(Arc::clone(watch));
            return;
        }
        if state.committed_waits.is_empty() && state.watches.is_empty() {
            state.note_stable();
        }
        state.watches.push(Arc::clone(watch));
    }
}

/// Marks all of them. A session that is gone is forgotten.
pub(super) fn on_progress(watches: &mut Vec<Arc<Watch>>, progress: Progress) {
    each(watches, |signals| signals.on_progress(progress));
}

/// Marks all of them, which are of replicas: there are new records.
pub(super) fn on_append(watches: &mut Vec<Arc<Watch>>, bytes: usize) {
    each(watches, |signals| signals.on_append(bytes));
}

/// Marks all of them, which are of replicas: the high watermark has moved.
pub(super) fn hurry(watches: &mut Vec<Arc<Watch>>) {
    each(watches, FetchSignals::hurry);
}

/// The same for what no fetch may wait through: another leader, another begin, the end of the partition.
pub(super) fn on_change(watches: &mut Vec<Arc<Watch>>) {
    each(watches, FetchSignals::wake);
}

fn each(watches: &mut Vec<Arc<Watch>>, tell: impl Fn(&FetchSignals)) {
    watches.retain(|watch| {
        let Some(signals) = watch.signals.upgrade() else { return false };
        watch.mark();
        tell(&signals);
        true
    });
}
