//! What goes into a coordinator with every event, and what comes out: the vocabulary between the
//! pure core and the server that performs.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kalda_metadata::Image;
use kalda_model::{Offset, ProducerEpoch, ProducerId};

use crate::request::GroupResponse;
use crate::settings::GroupSettings;

/// A request that waits for its answer; the number is the caller's, who must not use one twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// A record of a coordinator's topic in Kafka's format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoordinatorRecord {
    /// The type of the record and what it is about.
    pub key: Bytes,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// What a coordinator wants done.
///
/// The caller appends `records` as one batch, replays each at the offset it got, and gives `answers`
/// once the log's high watermark is above them and above `after`; then it sees to `endings`. If the
/// append fails, it hands the whole decision to
/// [`Coordinator::on_append_failed`](crate::Coordinator::on_append_failed).
#[derive(Clone, PartialEq, Debug)]
pub struct Decision<R = GroupResponse> {
    /// To be appended atomically, in this order.
    pub records: Vec<CoordinatorRecord>,
    /// Whose transaction the records belong to, if they belong to one.
    pub producer: Option<(ProducerId, ProducerEpoch)>,
    /// The answer to this request, or to earlier ones that it sets free.
    pub answers: Vec<(Token, R)>,
    /// Transactions whose end is decided and has to reach their partitions.
    pub endings: Vec<TransactionEnding>,
    /// The newest record that had been replayed when this was decided: the answers may tell of it,
    /// and so wait until it too is committed.
    pub after: Option<Offset>,
}

impl<R> Default for Decision<R> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            producer: None,
            answers: Vec::new(),
            endings: Vec::new(),
            after: None,
        }
    }
}

/// A marker to be written to every partition of a transaction, until each has it or is gone. Then
/// the transaction shard hears of it:
/// [`TransactionShard::on_markers_written`](crate::TransactionShard::on_markers_written).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionEnding {
    /// Whose transaction ends.
    pub transactional_id: String,
    /// The producer.
    pub producer_id: ProducerId,
    /// The epoch that the markers carry.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
    /// The `transaction.version` under which it was ended: from 2 on, every marker of a producer has
    /// an epoch of its own (KIP-890).
    pub transaction_version: i16,
    /// Commit or abort.
    pub commit: bool,
    /// Where.
    pub partitions: TopicPartitions,
}

/// Partitions by topic.
pub type TopicPartitions = BTreeMap<String, BTreeSet<i32>>;

impl<R> Decision<R> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.answers.is_empty() && self.endings.is_empty()
    }
}

/// The world as the caller sees it at an event.
pub struct Context<'a> {
    /// Time as timers count it, by a clock that nobody sets: who has put the wall clock back must not have
    /// made members immortal, nor the pause endless before a transaction's end is tried again.
    pub now_ms: i64,
    /// Wall-clock time: it goes into records.
    pub wall_ms: i64,
    /// The cluster's metadata.
    pub image: &'a Image,
    /// Makes the random part of a member id: a UUID in text.
    pub new_member_id: &'a dyn Fn() -> String,
}

/// One turn of the machine: the event's surroundings, and what has been decided so far.
pub(crate) struct Turn<'a> {
    pub(crate) cx: &'a Context<'a>,
    pub(crate) settings: &'a GroupSettings,
    pub(crate) out: Decision,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(
        cx: &'a Context<'a>,
        settings: &'a GroupSettings,
        after: Option<Offset>,
    ) -> Self {
        Self { cx, settings, out: Decision { after, ..Decision::default() } }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.cx.now_ms
    }

    pub(crate) fn wall_ms(&self) -> i64 {
        self.cx.wall_ms
    }

    pub(crate) fn answer(&mut self, token: Token, response: GroupResponse) {
        self.out.answers.push((token, response));
    }
}
