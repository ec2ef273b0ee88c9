//! A value that is watched: who waits is told in the order in which they began to wait.
//!
//! Used for what many tasks of a node wait for at once. `tokio::sync::watch` would do, but it wakes in
//! an order of its own drawing, and then one seed would not give the same run twice.

use std::ops::Deref;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// The value, in the hands of who changes it.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug, Default)]
struct Shared<T> {
    current: RwLock<Current<T>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Current<T> {
    value: T,
    /// Counts the changes.
    number: u64,
}

impl<T> Watched<T> {
    /// Takes another value and tells everybody.
    pub(crate) fn replace(&self, value: T) {
        self.modify_if(|known| {
            *known = value;
            true
        });
    }

    /// Changes the value; everybody is told if `change` says that it did.
    pub(crate) fn modify_if(&self, change: impl FnOnce(&mut T) -> bool) {
        let mut current = self.shared.current.write();
        if change(&mut current.value) {
            current.number += 1;
            drop(current);
            self.shared.changed.notify_waiters();
        }
    }

    /// The value now. Not to be held for long.
    pub(crate) fn borrow(&self) -> impl Deref<Target = T> {
        RwLockReadGuard::map(self.shared.current.read(), |current| &current.value)
    }

    /// Watches what comes after the value of now.
    pub(crate) fn subscribe(&self) -> Watcher<T> {
        let seen = self.shared.current.read().number;
        Watcher { shared: Arc::clone(&self.shared), seen }
    }
}

/// One who watches.
#[derive(Debug)]
pub(crate) struct Watcher<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

impl<T: Clone> Watcher<T> {
    /// The value now, which counts as seen.
    pub(crate) fn see(&mut self) -> T {
        let current = self.shared.current.read();
        self.seen = current.number;
        current.value.clone()
    }

    /// Waits for a value that was not seen yet.
    pub(crate) async fn changed(&mut self) {
        self.wait_until(|current, seen| current.number != seen).await;
    }

    /// Waits for a value of that kind; the one of now counts, too.
    pub(crate) async fn wait_for(&mut self, mut is_it: impl FnMut(&T) -> bool) {
        self.wait_until(|current, _| is_it(&current.value)).await;
    }

    async fn wait_until(&mut self, mut is_it: impl FnMut(&Current<T>, u64) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            {
                let current = self.shared.current.read();
                if is_it(&current, self.seen) {
                    self.seen = current.number;
                    return;
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_change_is_seen_once_and_a_value_as_often_as_asked() {
        let watched = Watched::<i32>::default();
        let mut watcher = watched.subscribe();
        watched.modify_if(|_| false);
        watched.replace(3);
        watcher.changed().await;
        assert_eq!(*watched.borrow(), 3);
        watcher.wait_for(|value| *value == 3).await;
        let later = async {
            tokio::task::yield_now().await;
            watched.replace(4);
        };
        tokio::join!(watcher.changed(), later);
        assert_eq!(watcher.see(), 4);
    }
}
