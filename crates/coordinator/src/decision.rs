//! What goes into a coordinator with every event, and what comes out: the vocabulary between the
//! pure core and the server that performs.

use bytes::Bytes;
use kalda_metadata::Image;
use kalda_model::Offset;

use crate::request::GroupResponse;
use crate::settings::GroupSettings;

/// A request that waits for its answer; the number is the caller's, who must not use one twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// A record of `__consumer_offsets` in Kafka's format.
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
/// once the log's high watermark is above them and above `after`. If the append fails, it hands the
/// whole decision to [`GroupShard::on_append_failed`](crate::GroupShard::on_append_failed).
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Decision {
    /// To be appended atomically, in this order.
    pub records: Vec<CoordinatorRecord>,
    /// The answer to this request, or to earlier ones that it sets free.
    pub answers: Vec<(Token, GroupResponse)>,
    /// The newest record that had been replayed when this was decided: the answers may tell of it,
    /// and so wait until it too is committed.
    pub after: Option<Offset>,
}

impl Decision {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.answers.is_empty()
    }
}

/// The world as the caller sees it at an event.
pub struct Context<'a> {
    /// Wall-clock time: it goes into records.
    pub now_ms: i64,
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

    pub(crate) fn answer(&mut self, token: Token, response: GroupResponse) {
        self.out.answers.push((token, response));
    }
}
