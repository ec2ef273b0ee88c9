//! What a fetcher is told: by the metadata publisher, and by the flushers.
//!
//! Partitions tell while they hold their lock, so nothing here may take the lock of a partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kalda_model::TopicId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Key;
use crate::hosted::HostedPartition;

/// One piece of news.
#[derive(Debug)]
pub(super) enum News {
    /// The partition is to be copied from this fetcher's leader, or under another epoch than before.
    Follow(Arc<HostedPartition>),
    /// It is not any more.
    Leave(Key),
    /// What was copied to it is on disk.
    Flushed(Key),
}

/// The news of one fetcher, in their order.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    news: Mutex<Vec<News>>,
    wake: Notify,
    /// There is a partition to be copied that the fetch in flight does not have.
    has_follow: AtomicBool,
    follow: Notify,
}

impl Inbox {
    /// What was copied to the partition is on disk.
    pub(crate) fn on_flushed(&self, topic: TopicId, index: i32) {
        self.tell(News::Flushed((topic, index)));
    }

    pub(super) fn tell(&self, news: News) {
        let is_follow = matches!(news, News::Follow(_));
        self.news.lock().push(news);
        self.wake.notify_one();
        if is_follow {
            self.has_follow.store(true, Ordering::Release);
            self.follow.notify_one();
        }
    }

    pub(super) fn take(&self) -> Vec<News> {
        // Before the news are taken: what comes later says so again.
        self.has_follow.store(false, Ordering::Release);
        std::mem::take(&mut *self.news.lock())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.news.lock().is_empty()
    }

    /// Ends when there may be news.
    pub(super) async fn told(&self) {
        while self.is_empty() {
            self.wake.notified().await;
        }
    }

    /// Ends when there is another partition to be copied.
    pub(super) async fn has_another(&self) {
        while !self.has_follow.load(Ordering::Acquire) {
            self.follow.notified().await;
        }
    }
}
