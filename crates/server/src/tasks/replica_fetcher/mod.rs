//! Copying from leaders (`ReplicaFetcherManager`): which partition is copied by which fetcher.
//!
//! A fetcher belongs to one leader, has a connection and a fetch session of its own, and one fetch in flight.
//! The metadata publisher says which partitions changed; the fetchers run on the loop of the first shard.

mod fetcher;
mod inbox;
mod leader_offsets;
mod session;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use kalda_model::{BrokerId, TopicId};
use kalda_protocol::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use inbox::Inbox;
use inbox::News;

use crate::broker::Broker;
use crate::hosted::HostedPartition;

/// A partition, by its topic's id and its index.
type Key = (TopicId, i32);
/// A fetcher: its leader, and its number of `num.replica.fetchers`.
type Slot = (BrokerId, i64);

/// An error of an answer; a code that is not known is one too.
fn error_of(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

/// All fetchers of a broker.
#[derive(Debug, Default)]
pub(crate) struct Fetchers {
    state: Mutex<Assignment>,
    has_new: Notify,
}

#[derive(Debug, Default)]
struct Assignment {
    inboxes: BTreeMap<Slot, Arc<Inbox>>,
    by_partition: BTreeMap<Key, Slot>,
    /// Fetchers that are to be started.
    new: Vec<(Slot, Arc<Inbox>)>,
}

impl Fetchers {
    /// These partitions were made, have another leader or leader epoch, or are not followed any more: after they
    /// were told themselves. May be called from any thread.
    pub(crate) fn on_partitions_changed(
        &self,
        broker: &Broker,
        partitions: &[Arc<HostedPartition>],
    ) {
        let count = broker.config.number("num.replica.fetchers").max(1);
        let mut state = self.state.lock();
        for partition in partitions {
            let slot = partition.followed().map(|leader| {
                // Partitions of one topic are spread, and those of index 0 of many topics are too.
                let spread =
                    i64::from(partition.topic_id.to_bytes()[15]) + i64::from(partition.index);
                (leader, spread.rem_euclid(count))
            });
            state.assign(partition, slot);
        }
        let has_new = !state.new.is_empty();
        drop(state);
        if has_new {
            self.has_new.notify_one();
        }
    }

    /// The fetcher of `slot` has nothing to do. Whether it may end: nobody gave it something meanwhile.
    fn retire(&self, slot: Slot, inbox: &Inbox) -> bool {
        let mut state = self.state.lock();
        let is_idle = inbox.is_empty();
        if is_idle {
            state.inboxes.remove(&slot);
        }
        is_idle
    }
}

impl Assignment {
    fn assign(&mut self, partition: &Arc<HostedPartition>, slot: Option<Slot>) {
        let key = (partition.topic_id, partition.index);
        let before = self.by_partition.get(&key).copied();
        if before != slot
            && let Some(inbox) = before.and_then(|before| self.inboxes.get(&before))
        {
            inbox.tell(News::Leave(key));
        }
        let Some(slot) = slot else {
            if self.by_partition.remove(&key).is_some() {
                partition.set_fetcher(Weak::new());
            }
            return;
        };
        let new = &mut self.new;
        let inbox = self.inboxes.entry(slot).or_insert_with(|| {
            let inbox = Arc::<Inbox>::default();
            new.push((slot, Arc::clone(&inbox)));
            inbox
        });
        partition.set_fetcher(Arc::downgrade(inbox));
        inbox.tell(News::Follow(Arc::clone(partition)));
        self.by_partition.insert(key, slot);
    }
}

/// Starts fetchers as they are needed, until the broker stops. Runs on the loop that shall have them.
pub(crate) async fn run(broker: Arc<Broker>) {
    loop {
        let new = std::mem::take(&mut broker.fetchers.state.lock().new);
        for (slot, inbox) in new {
            tokio::task::spawn_local(fetcher::run(Arc::clone(&broker), slot, inbox));
        }
        tokio::select! {
            biased;
            () = broker.stopping() => return,
            () = broker.fetchers.has_new.notified() => {}
        }
    }
}
