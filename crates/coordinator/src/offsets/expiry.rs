//! Which offsets of a group have outlived their retention. Called by the shard's sweep.

use super::{CommittedOffset, OffsetStore};
use crate::decision::CoordinatorRecord;
use crate::records;

/// From when the retention of a group's offsets counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expiry {
    /// The group is in use, in a way that does not tell which topics.
    Never,
    /// From when the group became empty.
    SinceEmpty(i64),
    /// From each commit.
    SinceCommit,
}

/// What a sweep found for one group.
pub(crate) struct Expired {
    pub(crate) tombstones: Vec<CoordinatorRecord>,
    /// Whether these leave the group without offsets, open transactions included.
    pub(crate) all: bool,
}

/// The tombstones that are due. Never for a topic that the group subscribes to, nor where an open
/// transaction is about to commit.
pub(crate) fn expired(
    store: &OffsetStore,
    group: &str,
    rule: &ExpiryRule,
    subscribed: impl Fn(&str) -> bool,
) -> Expired {
    let mut found = Expired { tombstones: Vec::new(), all: !store.has_open_transaction(group) };
    for (topic, partitions) in store.of_group(group).into_iter().flatten() {
        let subscribed = subscribed(topic);
        for (&partition, committed) in partitions {
            let due =
                !subscribed && rule.is_due(committed) && !store.is_pending(group, topic, partition);
            if due {
                found.tombstones.push(records::offset_tombstone(group, topic, partition));
            } else {
                found.all = false;
            }
        }
    }
    found
}

/// When an offset is due.
pub(crate) struct ExpiryRule {
    pub(crate) expiry: Expiry,
    pub(crate) now_ms: i64,
    pub(crate) retention_ms: i64,
}

impl ExpiryRule {
    fn is_due(&self, committed: &CommittedOffset) -> bool {
        let since_ms = match self.expiry {
            Expiry::Never => return false,
            Expiry::SinceEmpty(at_ms) => at_ms,
            Expiry::SinceCommit => committed.commit_timestamp_ms,
        };
        match committed.expire_timestamp_ms {
            Some(at_ms) => self.now_ms >= at_ms,
            None => self.now_ms.saturating_sub(since_ms) >= self.retention_ms,
        }
    }
}
